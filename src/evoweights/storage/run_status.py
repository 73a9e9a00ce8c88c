"""How a run stands, read from its folder while it goes on or afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoweights.storage import journal
from evoweights.storage.best import best_facts
from evoweights.storage.checkpoint import Reached, reached_in
from evoweights.storage.checkpoints import CheckpointStore
from evoweights.storage.generations import mistake_in
from evoweights.storage.run_lock import Holder
from evoweights.storage.run_parts import BEST, DONE, FAILED, METRICS, read_text


@dataclass(frozen=True)
class RunStatus:
    """How a run stands. ``state`` is new, running, stopped, failed or finished; ``best`` are the facts of the best individual
    that is saved: row, id, generation and fitness (a loss).

    ``step`` is the number of the checkpoint it would continue from, ``reached`` how far the run was then (None if the
    checkpoint does not say), ``metrics`` the last line written, ``note`` what DONE or FAILED say, ``problems`` what is wrong
    with checkpoints, the best and the metrics. If ``is_resumable``, the same command continues the run.
    """

    name: str
    folder: Path
    state: str
    step: int | None
    reached: Reached | None
    holder: Holder | None
    metrics: Mapping[str, Any] | None
    best: Mapping[str, Any] | None
    note: str
    problems: tuple[str, ...]
    is_resumable: bool


def status_of(folder: Path, checkpoints: CheckpointStore, holder: Holder | None, *, verify: bool) -> RunStatus:
    """How the run in a folder stands; see :meth:`evoweights.storage.run_dir.RunDirectory.status`.

    Raises:
        CheckpointError: DONE or FAILED is there but cannot be read.
    """
    verdicts = checkpoints.verify(digests=verify)
    best, problem = best_facts(folder / BEST, digests=verify)
    damaged = [f"{each.folder.name}: {'; '.join(each.problems)}" for each in verdicts if not each.ok]
    newest = next((each for each in verdicts if each.ok), None)
    texts = {mark: read_text(path).strip() for mark in (DONE, FAILED) if (path := folder / mark).exists()}
    metrics = journal.last(folder / METRICS)
    if metrics is not None and (found := mistake_in(metrics)):
        damaged.append(f"{METRICS}: its last line is no record of a generation ({found}); put back an intact copy")
        metrics = None
    started = "new" if metrics is None and not verdicts else "stopped"
    ended = "finished" if DONE in texts else "failed" if FAILED in texts else started
    return RunStatus(
        name=folder.name,
        folder=folder,
        state="running" if holder else ended,
        step=newest and newest.step,
        reached=newest and reached_in(newest.folder),
        holder=holder,
        metrics=metrics,
        best=best,
        note=texts.get(DONE) or texts.get(FAILED) or "",
        problems=(*damaged, *([problem] if problem else [])),
        is_resumable=not holder and DONE not in texts and (newest is not None or not verdicts),
    )
