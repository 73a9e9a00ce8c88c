"""A population: N individuals of one layout, in one of three homes.

Only what is mounted occupies the accelerator. The rest lives on the ``device``, in ``host`` memory, or on ``disk`` in files
that are mapped for as long as they are used; operators work on it where it is.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evoweights.errors import UsageError
from evoweights.genome import DTYPES, Layout
from evoweights.homes.rows import HOMES, WEIGHTS, Rows, is_mounted_in_place, resolve_home

BUFFER, MEMORY = "buffer.", "memory."


@dataclass(frozen=True)
class Slot:
    """A named vector that a component keeps for every individual, one number per gene, zero at first.

    ``dtype`` is float32 or bfloat16. ``role`` is ``optimizer`` (what an operator does to it is the run's
    ``optimizer_state`` setting), ``state`` (untouched), or ``personal_best`` (in the weights' dtype: the individual's
    weights when its fitness was lowest).
    """

    name: str
    role: str = "optimizer"
    dtype: str = "float32"

    def dtype_for(self, layout: Layout) -> torch.dtype:
        """The type its numbers are kept in beside genomes of ``layout``."""
        return layout.dtype if self.role == "personal_best" else DTYPES[self.dtype]


@dataclass
class Individual:
    """What is known of one individual besides its tensors. ``fitness`` is a loss, NaN while unknown.

    ``score`` is its last measured fitness, kept when the weights change; ``failed`` means it was measured and is NaN or
    infinite, or that its training stopped three turns in a row.
    """

    id: int
    parents: tuple[int, ...] = ()
    born: int = 0
    fitness: float = math.nan
    score: float = math.nan
    train_loss: float = math.nan
    best_fitness: float = math.inf
    start: float = math.nan
    turns: int = 0
    strikes: int = 0
    failed: bool = False
    counters: dict[str, int] = field(default_factory=dict)

    @property
    def is_unknown(self) -> bool:
        """Whether its weights have changed since they were measured."""
        return math.isnan(self.fitness) and not self.failed


def better(left: float, right: float) -> bool:
    """Whether the loss ``left`` is lower than ``right``; NaN is never better, and anything is better than NaN."""
    return not math.isnan(left) and (math.isnan(right) or left < right)


def best_of(losses: Sequence[float], among: Sequence[int]) -> int | None:
    """The index of ``among`` with the lowest loss, ties to the lowest index; None if all of them are NaN."""
    known = [row for row in among if not math.isnan(losses[row])]
    return min(known, key=lambda row: (losses[row], row), default=None)


def buffers_among(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The module buffers among the tensors saved of an individual, by their names in the module."""
    return _among(tensors, BUFFER)


def _among(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


class Population:
    """N individuals of one layout: for each a vector of weights, the slots that components declared, and its buffers.

    ``unsaved`` are the rows whose tensors have changed since the last checkpoint; ``nbytes`` is the size of all rows.
    ``memory`` are further tensors of each row, of any shape, that an improver keeps. A single individual that lives where
    it trains has the tensors ``mounted`` for its own, so that they exist once.
    """

    def __init__(
        self,
        layout: Layout,
        size: int,
        *,
        home: str,
        device: torch.device,
        folder: Path,
        slots: Sequence[Slot],
        mounted: Mapping[str, Tensor] | None = None,
    ) -> None:
        if home not in HOMES:
            raise UsageError(f"population.home: {home!r} is none of {', '.join(HOMES)}.")
        dtypes = {WEIGHTS: layout.dtype}
        dtypes |= {slot.name: slot.dtype_for(layout) for slot in slots}
        self.nbytes = size * layout.size * sum(each.itemsize for each in dtypes.values())
        home = resolve_home(home, self.nbytes, device)
        self.layout, self.size, self.home, self.slots = layout, size, home, tuple(slots)
        only = (mounted or {}) if is_mounted_in_place(size, home, device) else {}
        self.rows = Rows(dtypes, size, layout.size, home=home, device=device, folder=folder, only=only)
        self.buffers: list[dict[str, Tensor]] = [{} for _ in range(size)]
        self.memory: list[dict[str, Tensor]] = [{} for _ in range(size)]
        self.individuals = [Individual(id=index) for index in range(size)]
        self.next_id = size
        self.unsaved = set(range(size))

    def row(self, index: int, name: str = WEIGHTS) -> Tensor:
        """The weights (or the slot ``name``) of individual ``index``: ``[layout.size]``, where it lives, to read or write.

        Do not keep it: on the ``disk`` home it holds a file mapping. Who writes to it says so with :meth:`changed`.
        """
        return self.rows.row(index, name)

    def changed(self, row: int, *, but: Iterable[str] = ()) -> None:
        """The tensors of a row were written, except for those named."""
        self.unsaved.add(row)
        self.rows.changed(row, but=but)

    def healthy(self) -> list[int]:
        """The rows that have not failed."""
        return [row for row, individual in enumerate(self.individuals) if not individual.failed]

    def unknown(self) -> list[int]:
        """The rows whose weights have changed since they were measured."""
        return [row for row, individual in enumerate(self.individuals) if individual.is_unknown]

    def fitness(self) -> list[float]:
        """Each row's fitness; NaN where it is unknown or failed."""
        return [math.nan if individual.failed else individual.fitness for individual in self.individuals]

    def mark_changed(self, rows: Sequence[int]) -> None:
        """Forget the fitness of rows whose weights (or shared weights) have changed."""
        for row in rows:
            self.individuals[row].fitness = math.nan

    def rewritten(self, row: int, *, parents: Sequence[int], generation: int, kept: Iterable[str] = ()) -> Individual:
        """Give a row that an operator wrote a new identity: id, unknown fitness, healthy again.

        ``parents`` are the ids of those it was made from besides the individual that was there before; ``kept`` names
        the slots that were not written.
        """
        old = self.individuals[row]
        new = Individual(
            id=self.next_id,
            parents=tuple(dict.fromkeys([old.id, *parents])),
            born=generation,
            score=old.score,
            train_loss=old.train_loss,
            best_fitness=old.best_fitness,
            start=old.start,
            turns=old.turns,
            counters=dict(old.counters),
        )
        self.next_id += 1
        self.individuals[row] = new
        self.changed(row, but=kept)
        return new

    def tensors(self, index: int) -> dict[str, Tensor]:
        """Everything that must be saved of a row, by name."""
        saved = {name: self.row(index, name) for name in self.rows.names}
        saved |= {f"{MEMORY}{name}": value for name, value in self.memory[index].items()}
        return saved | {f"{BUFFER}{name}": value for name, value in self.buffers[index].items()}

    def restore(self, index: int, tensors: Mapping[str, Tensor]) -> None:
        """Put back what :meth:`tensors` gave."""
        for name in self.rows.names:
            self.row(index, name).copy_(tensors[name])
        self.changed(index)
        self.buffers[index], self.memory[index] = _among(tensors, BUFFER), _among(tensors, MEMORY)

    def state(self) -> dict[str, Any]:
        """The individuals as plain values; losses may be NaN or infinite."""
        return {"next_id": self.next_id, "individuals": [asdict(each) for each in self.individuals]}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Put back what :meth:`state` gave."""
        self.next_id = state["next_id"]
        self.individuals = [Individual(**each | {"parents": tuple(each["parents"])}) for each in state["individuals"]]
