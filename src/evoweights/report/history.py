"""What happened in a run, as columns of numbers: its ``metrics.jsonl``, for pictures of any length of run."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evoweights.errors import CheckpointError, UsageError
from evoweights.storage.generations import checked
from evoweights.storage.run_parts import DONE, METRICS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evoweights.storage.run_dir import RunDirectory


@dataclass(frozen=True)
class Rewriting:
    """An individual that operators, or a selection, have written: see :class:`evoweights.records.VaryRecord`."""

    generation: int
    row: int
    id: int
    parents: tuple[int, ...]
    sources: tuple[int, ...]
    operators: tuple[str, ...]
    losses: tuple[float, ...] | None


@dataclass(frozen=True)
class Turns:
    """Every turn of training, one entry each; what is unknown is NaN."""

    generation: "NDArray[np.int64]"
    row: "NDArray[np.int64]"
    mean_loss: "NDArray[np.float64]"
    jump: "NDArray[np.float64]"
    seconds: "NDArray[np.float64]"


@dataclass(frozen=True)
class History:
    """All generations of a run, one entry each; what is unknown is NaN, an unknown row -1.

    ``start`` is the fitness of every individual before the first generation; ``fitness`` and ``pair_distances`` have a column
    for each individual and each of ``pairs``; ``failed`` says in which generation an individual was first given up.
    """

    size: int
    generation: "NDArray[np.int64]"
    tokens: "NDArray[np.float64]"
    start: "NDArray[np.float64]"
    fitness: "NDArray[np.float64]"
    best_row: "NDArray[np.int64]"
    best_fitness: "NDArray[np.float64]"
    distance: "NDArray[np.float64]"
    pairs: tuple[tuple[int, int], ...]
    pair_distances: "NDArray[np.float64]"
    turns: Turns
    rewritings: tuple[Rewriting, ...]
    seconds: Mapping[str, "NDArray[np.float64]"]
    ledger: Mapping[str, "NDArray[np.float64]"]
    failed: Mapping[int, int]

    def at(self, generations: "NDArray[np.int64] | Sequence[int]") -> "NDArray[np.int64]":
        """The entries of generations by their numbers."""
        found = np.searchsorted(self.generation, np.asarray(generations, dtype=np.int64))
        return np.clip(found, 0, len(self.generation) - 1)

    @property
    def measured(self) -> "NDArray[np.int64]":
        """The entries in which at least one individual was measured."""
        return np.flatnonzero(np.isfinite(self.best_fitness) & np.isfinite(self.fitness).any(axis=1))

    @property
    def first_loss(self) -> float:
        """The lowest loss before the first generation, else in the first one that was measured; there must be one."""
        known = self.start[np.isfinite(self.start)]
        return float(known.min() if len(known) else self.best_fitness[self.measured[0]])


def read_history(run: "RunDirectory") -> History:
    """The history of a run, whether or not it is finished.

    Raises:
        UsageError: no generation is over yet.
        CheckpointError: a line of ``metrics.jsonl`` does not say what happened, or there is none though the run is finished.
    """
    records: list[_Record] = []
    for number, line in enumerate(checked(run.read_metrics(), run.folder / METRICS), 1):
        try:
            records.append(_checked(line))
            if records[-2:-1] and records[-2].generation >= records[-1].generation:
                raise ValueError(f"generation {records[-1].generation} after {records[-2].generation}")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise CheckpointError(
                f"{run.folder / METRICS}: line {number} is no record of a generation ({type(error).__name__}: {error}). "
                "Put back an intact copy."
            ) from error
    if not records and (run.folder / DONE).exists():
        raise CheckpointError(
            f"{run.folder / METRICS}: no generation is recorded, though the run is finished. Put back an intact copy."
        )
    if not records:
        raise UsageError(
            f"{run.folder}: no generation is over yet, so there is nothing to look at. "
            f"Continue the run, or wait: evoweights status {run.folder}"
        )
    return _history(records)


@dataclass(frozen=True)
class _Record:
    """One line, every value of the type that it must have."""

    generation: int
    tokens: float
    start: tuple[float, ...]
    fitness: tuple[float, ...]
    best_row: int
    best_fitness: float
    distance: float
    pairs: Mapping[tuple[int, int], float]
    turns: tuple[tuple[float, ...], ...]
    rewritings: tuple[Rewriting, ...]
    seconds: Mapping[str, float]
    ledger: Mapping[str, float]
    failed: tuple[int, ...]


def _checked(line: Mapping[str, Any]) -> _Record:
    best = line.get("best_row")
    found = _Record(
        generation=int(line["generation"]),
        tokens=_number(line.get("tokens")),
        start=tuple(_number(each) for each in line.get("start_fitness") or ()),
        fitness=tuple(_number(each) for each in line["fitness"]),
        best_row=-1 if best is None else int(best),
        best_fitness=_number(line.get("best_fitness")),
        distance=_number(line.get("distance")),
        pairs={(int(i), int(j)): _number(value) for i, j, value in line.get("distances") or ()},
        turns=tuple(_turn(each) for each in line.get("improved") or ()),
        rewritings=tuple(_rewriting(each) for each in line.get("varied") or ()),
        seconds={str(phase): _number(value) for phase, value in (line.get("seconds") or {}).items()},
        ledger={str(key): _number(value) for key, value in (line.get("ledger") or {}).items()},
        failed=tuple(int(row) for row in line.get("failed") or ()),
    )
    rows = {found.best_row, *(int(turn[1]) for turn in found.turns), *(each.row for each in found.rewritings)}
    if strange := [row for row in (*rows, *found.failed) if not -1 <= row < len(found.fitness)]:
        raise ValueError(f"row {strange[0]} of {len(found.fitness)}")
    return found


def _number(value: object) -> float:
    """A finite number, else NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return math.nan
    return float(value)


def _turn(line: Mapping[str, Any]) -> tuple[float, ...]:
    measured = (_number(line.get(key)) for key in ("mean_loss", "jump", "seconds"))
    return (float(int(line["generation"])), float(int(line["row"])), *measured)


def _rewriting(line: Mapping[str, Any]) -> Rewriting:
    losses = line.get("losses")
    return Rewriting(
        generation=int(line["generation"]),
        row=int(line["row"]),
        id=int(line["id"]),
        parents=tuple(int(each) for each in line["parents"]),
        sources=tuple(int(each) for each in line["sources"]),
        operators=tuple(str(each) for each in line["operators"]),
        losses=None if losses is None else tuple(_number(each) for each in losses),
    )


def _history(records: Sequence[_Record]) -> History:
    size = max(len(each.fitness) for each in records)
    pairs = tuple(sorted({pair for each in records for pair in each.pairs}))
    turns = np.array([turn for each in records for turn in each.turns], dtype=np.float64).reshape(-1, 5)
    failed: dict[int, int] = {}
    for each in records:
        for row in each.failed:
            failed.setdefault(row, each.generation)
    return History(
        size=size,
        generation=np.array([each.generation for each in records], dtype=np.int64),
        tokens=_floats(each.tokens for each in records),
        start=_floats(_padded(records[0].start, size)),
        fitness=_floats(value for each in records for value in _padded(each.fitness, size)).reshape(-1, size),
        best_row=np.array([each.best_row for each in records], dtype=np.int64),
        best_fitness=_floats(each.best_fitness for each in records),
        distance=_floats(each.distance for each in records),
        pairs=pairs,
        pair_distances=_table([each.pairs for each in records], pairs),
        turns=Turns(turns[:, 0].astype(np.int64), turns[:, 1].astype(np.int64), turns[:, 2], turns[:, 3], turns[:, 4]),
        rewritings=tuple(each for record in records for each in record.rewritings),
        seconds=_columns([each.seconds for each in records], missing=0.0),
        ledger=_columns([each.ledger for each in records], missing=math.nan),
        failed=failed,
    )


def _floats(values: Iterable[float]) -> "NDArray[np.float64]":
    return np.fromiter(values, dtype=np.float64)


def _padded(values: tuple[float, ...], size: int) -> tuple[float, ...]:
    return values + (math.nan,) * (size - len(values))


def _table(rows: Sequence[Mapping[Any, float]], keys: Sequence[Any]) -> "NDArray[np.float64]":
    return _floats(each.get(key, math.nan) for each in rows for key in keys).reshape(len(rows), len(keys))


def _columns(rows: Sequence[Mapping[str, float]], *, missing: float) -> dict[str, "NDArray[np.float64]"]:
    keys = dict.fromkeys(key for each in rows for key in each)
    return {key: _floats(each.get(key, missing) for each in rows) for key in keys}
