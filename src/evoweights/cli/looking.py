"""The commands that look at runs; they change nothing and work while a run goes on."""

import dataclasses
import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evoweights.cli.options import Json, RunFolder
from evoweights.cli.output import say, say_json, say_rows
from evoweights.errors import CheckpointError

if TYPE_CHECKING:
    from evoweights.storage.run_dir import RunStatus


def status(run: RunFolder, json: Json = False) -> None:
    """Say how a run stands."""
    from evoweights.storage.run_dir import RunDirectory

    found = RunDirectory.read(run).status()
    if json:
        say_json(_as_json(found))
    else:
        say_rows(_rows(found))


def verify(run: RunFolder) -> None:
    """Check what a run has saved, byte for byte.

    Every checkpoint and the best individual are read; the exit code is 4 if any is damaged.
    """
    from evoweights.storage.run_dir import RunDirectory

    directory = RunDirectory.read(run)
    verdicts = directory.checkpoints.verify()
    rows = [(each.folder.name, "intact" if each.ok else f"DAMAGED: {'; '.join(each.problems)}") for each in verdicts]
    damaged = [name for name, verdict in rows if verdict != "intact"]
    if directory.best_folder.exists():
        try:
            directory.load_best()
            rows.append(("best", "intact"))
        except CheckpointError as error:
            rows.append(("best", f"DAMAGED: {error}"))
            damaged.append("best")
    if not rows:
        say("Nothing is saved yet.")
        return
    say_rows(rows)
    if damaged:
        raise CheckpointError(f"{run}: {len(damaged)} of {len(rows)} are damaged: {', '.join(damaged)}.")


def _generations(folder: Path) -> Any:
    from evoweights.config.source import parse
    from evoweights.storage.run_dir import CONFIG

    return parse((folder / CONFIG).read_text(encoding="utf-8"), name=CONFIG).values["generations"]


def _as_json(status: "RunStatus") -> dict[str, Any]:
    return {
        "name": status.name,
        "folder": str(status.folder),
        "state": status.state,
        "resumable": status.is_resumable,
        "step": status.step,
        "holder": None if status.holder is None else dataclasses.asdict(status.holder),
        "metrics": _strict(status.metrics),
        "note": status.note,
        "problems": list(status.problems),
    }


def _strict(value: Any) -> Any:
    """A value as strict JSON can hold it: NaN and infinities as text."""
    if isinstance(value, dict):
        return {key: _strict(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _rows(status: "RunStatus") -> list[tuple[str, str]]:
    rows = [("run", f"{status.folder}: {status.state}")]
    if status.note:
        rows.append(("", status.note))
    if status.holder is not None:
        rows.append(("held by", str(status.holder)))
    if status.metrics is not None:
        done = status.metrics.get("generation", -1) + 1
        rows.append(("generations", f"{done} of {_generations(status.folder)} done"))
        best = status.metrics.get("best_fitness")
        if best is not None:
            row = status.metrics.get("best_row")
            rows.append(("last best", f"{best:.6g} (row {row} in the last generation; lower is better)"))
    rows.append(("checkpoint", "none" if status.step is None else f"number {status.step}, intact"))
    rows += [("damaged", problem) for problem in status.problems]
    if status.is_resumable:
        rows.append(("to continue", f"evoweights resume {shlex.quote(str(status.folder))}"))
    return rows
