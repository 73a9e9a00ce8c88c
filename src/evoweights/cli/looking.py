"""The commands that look at runs; they change nothing and work while a run goes on."""

import dataclasses
import math
import shlex
from typing import TYPE_CHECKING, Any

from evoweights.cli.options import Json, RunFolder
from evoweights.cli.output import say, say_json, say_rows
from evoweights.errors import CheckpointError

if TYPE_CHECKING:
    from evoweights.storage.checkpoint import Reached
    from evoweights.storage.run_dir import RunDirectory
    from evoweights.storage.run_status import RunStatus


def status(run: RunFolder, json: Json = False) -> None:
    """Say how a run stands."""
    from evoweights.storage.run_dir import RunDirectory

    directory = RunDirectory.read(run)
    found, generations = directory.status(), _generations(directory)
    if json:
        say_json(_as_json(found, generations))
    else:
        say_rows(_rows(found, generations))


def verify(run: RunFolder) -> None:
    """Check what a run has saved, byte for byte.

    Every checkpoint, the best individual and the small files are read; the exit code is 4 if any is damaged.
    """
    from evoweights.storage.run_dir import RunDirectory

    directory = RunDirectory.read(run)
    _generations(directory)  # or a text that is no configuration would pass: nothing else here looks at what it says
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
    small = directory.problems()
    rows += [(name, f"DAMAGED: {problem}") for name, problem in small]
    damaged += [name for name, _ in small]
    if not rows:
        say("Nothing is saved yet.")
        return
    say_rows(rows)
    if damaged:
        raise CheckpointError(
            f"{run}: {len(damaged)} of {len(rows)} are damaged: {', '.join(damaged)}. Put back intact copies; "
            "`evoweights status` says whether the run can go on without them."
        )


def _generations(run: "RunDirectory") -> Any:
    """How many generations the configuration asks for.

    Raises:
        UsageError: it is not one of a run.
    """
    from evoweights.config.saved import run_settings

    return run_settings(run.config_text, run.folder / "config.yaml")["generations"]


def _as_json(status: "RunStatus", generations: Any) -> dict[str, Any]:
    return {
        "name": status.name,
        "folder": str(status.folder),
        "state": status.state,
        "resumable": status.is_resumable,
        "step": status.step,
        "goes_on": _goes_on(status, generations),
        "holder": None if status.holder is None else dataclasses.asdict(status.holder),
        "metrics": _strict(status.metrics),
        "best": status.best and {key: status.best[key] for key in ("row", "id", "generation", "fitness")},
        "note": status.note,
        "problems": list(status.problems),
    }


def _goes_on(status: "RunStatus", generations: Any) -> dict[str, Any] | None:
    """The generation in which a run that is continued begins (None after the last one), the steps made before, and how many
    recorded generations are done again; None if that is not known."""
    at = _reached(status)
    if at is None:
        return None
    is_over = at.generation == generations
    return {"generation": None if is_over else at.generation, "step": at.step, "done_again": _done_again(status, at)}


def _reached(status: "RunStatus") -> "Reached | None":
    from evoweights.storage.checkpoint import Reached

    if not status.is_resumable:
        return None
    return Reached(0, 0) if status.step is None else status.reached


def _done_again(status: "RunStatus", at: "Reached") -> int:
    """How many generations that are recorded lie after what is saved."""
    recorded = 0 if status.metrics is None else status.metrics["generation"] + 1
    return max(0, recorded - at.generation)


def _strict(value: Any) -> Any:
    """A value as strict JSON can hold it: NaN and infinities as text."""
    if isinstance(value, dict):
        return {key: _strict(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _rows(status: "RunStatus", generations: Any) -> list[tuple[str, str]]:
    rows = [("run", f"{status.folder}: {status.state}")]
    if status.note:
        rows.append(("", status.note))
    if status.holder is not None:
        rows.append(("held by", str(status.holder)))
    if status.metrics is not None:
        done = status.metrics.get("generation", -1) + 1
        steps = f", {status.metrics['step']} steps" if status.metrics.get("step") else ""
        rows.append(("generations", f"{done} of {generations} done{steps}"))
        loss, row = status.metrics.get("best_fitness"), status.metrics.get("best_row")
        if loss is not None:
            rows.append(("last generation", f"best loss {loss:.6g} (individual {row})"))
    if status.best is not None:
        born = status.best["generation"]
        when = "at the start" if born < 0 else f"in generation {born}"
        who = f"individual {status.best['row']}, {when}"
        rows.append(
            ("best of the run", f"loss {status.best['fitness']:.6g} ({who}, as saved in best/; lower is better)")
        )
    rows.append(("checkpoint", "none" if status.step is None else f"number {status.step}, intact"))
    rows += [("damaged", problem) for problem in status.problems]
    if status.is_resumable:
        rows.append(("goes on", _where_it_goes_on(status, generations)))
        rows.append(("to continue", f"evoweights resume {shlex.quote(str(status.folder))}"))
    return rows


def _where_it_goes_on(status: "RunStatus", generations: Any) -> str:
    """Where a run that is continued begins, and what it does again."""
    at = _reached(status)
    if at is None:
        return f"from checkpoint {status.step}"
    after = f", after {at.step} steps" if at.step else ""
    if at.generation == generations:
        return f"after the last generation{after}"
    again = _done_again(status, at)
    redone = f"; {again} generation{'' if again == 1 else 's'} done again" if again else ""
    if status.step is None:
        return f"at the start: generation 0 (1/{generations}){redone}"
    return f"in generation {at.generation} ({at.generation + 1}/{generations}){after}{redone}"
