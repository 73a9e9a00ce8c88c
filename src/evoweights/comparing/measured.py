"""What a comparison reads of a run: its settings, its curves, and what its losses were measured on."""

import itertools
import math
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoweights.comparing.curves import Curve
from evoweights.config.saved import run_settings
from evoweights.errors import CheckpointError, UsageError
from evoweights.storage.generations import checked
from evoweights.storage.run_dir import RunDirectory
from evoweights.storage.run_parts import CONFIG, INFO, METRICS, read_facts

AXES = ("tokens", "flops", "seconds")
"""What runs are compared over; what a task counts is called tokens here, whatever it is."""
_MEASURING = ("evaluate", "checkpoint", "credit")
"""Phases of a generation that watch a run and do not advance it."""


@dataclass(frozen=True)
class MeasuredRun:
    """One run: ``settings`` are those of its config.yaml, ``curves`` its validation loss by what was spent (one of ``AXES``).

    ``data`` are digests of what its losses were measured with, ``unit`` is what its task counts (tokens), and ``notes`` are
    what a reader must know of it.
    """

    folder: Path
    settings: Mapping[str, Any]
    curves: Mapping[str, Curve]
    data: Mapping[str, str]
    device: str
    unit: str
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @property
    def seed(self) -> Any:
        """Its seed; where config.yaml only says where it is from, something of its own."""
        seed = self.settings.get("seed")
        return seed if isinstance(seed, int) else str(self.folder)


def read_run(folder: Path) -> MeasuredRun:
    """Read a run, whether or not it is finished.

    Raises:
        UsageError: the folder is no run, or nothing of it has been measured yet.
        CheckpointError: a line of ``metrics.jsonl`` does not say what happened, or none does though the run is finished.
    """
    folder = folder.absolute()
    run = RunDirectory.read(folder)
    status = run.status(verify=False)
    records = list(checked(run.read_metrics(), folder / METRICS))
    settings = run_settings(run.config_text, folder / CONFIG)
    try:
        curves = {axis: Curve.through(points) for axis, points in _points(records).items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{folder / METRICS}: a line is no record of a generation ({type(error).__name__}: {error}). Put back an intact "
            "copy."
        ) from error
    if curves["seconds"].last is None:
        is_over = status.state == "finished"
        todo = (
            "put back an intact copy" if is_over else f"continue it with: evoweights resume {shlex.quote(str(folder))}"
        )
        raise (CheckpointError if is_over else UsageError)(
            f"{folder}: no generation with a validation loss is in its metrics.jsonl, so there is nothing to compare. "
            f"The run is {status.state}; {todo}"
        )
    notes = [] if status.state == "finished" else [_unfinished(folder.name, status.state, records, settings)]
    if any("ledger" not in each for each in records):
        notes.append(f"{folder.name} has no ledger (an earlier version made it), so its FLOPs are not known")
    best = status.best or {}
    environment = run.environment
    device = f"{environment.get('device')} on {environment.get('machine')}, {environment.get('torch_threads')} threads"
    unit = read_facts(folder / INFO).get("unit") if (folder / INFO).exists() else None
    return MeasuredRun(folder, settings, curves, best.get("task") or {}, device, str(unit or "tokens"), tuple(notes))


def _unfinished(name: str, state: str, records: list[Mapping[str, Any]], settings: Mapping[str, Any]) -> str:
    done = records[-1].get("generation", -1) + 1
    return f"{name} is {state}, not finished: {done} of {settings.get('generations')} generations are compared"


def _points(records: list[Mapping[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """The measured points of every axis. Where nothing trains, measuring is the work; else it is left out."""
    points: dict[str, list[tuple[float, float]]] = {axis: [] for axis in AXES}
    last = (records[-1].get("ledger") if records else None) or {}
    trains = any(each.get("improved") for each in records) or bool(last.get("flops"))
    if start := [loss for loss in (records[0].get("start_fitness") or () if records else ()) if loss is not None]:
        points = {axis: [(0.0, min(start))] for axis in AXES}
    seconds = itertools.accumulate(_seconds(each, trains=trains) for each in records)
    for record, passed in zip(records, seconds, strict=True):
        loss = record.get("best_fitness")
        if not isinstance(loss, int | float) or not math.isfinite(loss):
            continue
        for axis, spent in _spent(record, passed, trains=trains):
            points[axis].append((spent, float(loss)))
    return points


def _seconds(record: Mapping[str, Any], *, trains: bool) -> float:
    left_out = _MEASURING if trains else ("checkpoint",)
    known = [value for name, value in (record.get("seconds") or {}).items() if name not in left_out]
    return math.nan if None in known else sum(known)


def _spent(record: Mapping[str, Any], seconds: float, *, trains: bool) -> Iterator[tuple[str, float]]:
    ledger = record.get("ledger") or {}
    tokens = ledger.get("tokens", record.get("tokens"))
    flops = ledger.get("flops" if trains else "evaluation_flops")
    for axis, spent in (("tokens", tokens), ("flops", flops), ("seconds", seconds)):
        if isinstance(spent, int | float) and math.isfinite(spent):
            yield axis, float(spent)
