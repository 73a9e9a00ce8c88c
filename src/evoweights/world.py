"""All that evolves in a run, and its way into a checkpoint and back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from evoweights.mounted import Mounted
from evoweights.population import WEIGHTS, Population
from evoweights.progress import Progress
from evoweights.scoring import Champion


@dataclass
class World:
    """The population, the live module, the best individual so far, and how far the run has come."""

    population: Population
    mounted: Mounted
    progress: Progress = field(default_factory=Progress)
    champion: Champion | None = None
    _saved_champion: int | None = None

    def files(self) -> dict[str, Callable[[], Mapping[str, Tensor]]]:
        """The tensor files of a checkpoint by name, each made only when it is written."""
        files: dict[str, Callable[[], Mapping[str, Tensor]]] = {
            _file(row): lambda row=row: self.population.tensors(row) for row in range(self.population.size)
        }
        shared, champion = self.mounted.shared, self.champion
        files["shared"] = lambda: {WEIGHTS: shared.weights, **shared.slots}
        if champion is not None:
            files["champion"] = lambda: champion.tensors
        return files

    def nbytes(self) -> int:
        """About the size of a checkpoint: all rows, the shared part, and the champion."""
        shared = self.mounted.shared
        state = shared.weights.nbytes + sum(slot.nbytes for slot in shared.slots.values())
        return self.population.nbytes + state + self.mounted.own.weights.nbytes + shared.weights.nbytes

    def unchanged(self) -> set[str]:
        """The files that are the same as in the last checkpoint."""
        rows = {_file(row) for row in range(self.population.size) if row not in self.population.unsaved}
        kept = self.champion is not None and self.champion.generation == self._saved_champion
        return rows | ({"champion"} if kept else set())

    def mark_saved(self) -> None:
        """A checkpoint of the present state is on disk."""
        self.population.unsaved.clear()
        self._saved_champion = self.champion and self.champion.generation

    def state(self) -> dict[str, Any]:
        """Everything of a checkpoint that is no tensor, as JSON values."""
        return {
            "layout": self.population.layout.fingerprint,
            "shared_layout": self.mounted.shared.layout.fingerprint,
            "progress": self.progress.state(),
            "population": self.population.state(),
            "shared_counters": dict(self.mounted.shared.counters),
            "champion": self.champion and self.champion.facts(),
        }

    def restore(self, state: Mapping[str, Any], tensors: Callable[[str], Mapping[str, Tensor]]) -> None:
        """Put back a checkpoint; ``tensors`` gives the content of one of its files.

        Raises:
            UsageError: the checkpoint is of another layout.
        """
        self.population.layout.check(state["layout"], where="checkpoint")
        self.mounted.shared.layout.check(state["shared_layout"], where="checkpoint, shared part")
        self.progress = Progress.from_state(state["progress"])
        self.population.load_state(state["population"])
        for row in range(self.population.size):
            self.population.restore(row, tensors(_file(row)))
        shared = tensors("shared")
        self.mounted.shared.weights.copy_(shared[WEIGHTS])
        for name, slot in self.mounted.shared.slots.items():
            slot.copy_(shared[name])
        self.mounted.shared.counters = dict(state["shared_counters"])
        if state["champion"] is not None:
            facts = dict(state["champion"])
            scores = tuple(facts.pop("scores"))
            self.champion = Champion(scores=scores, tensors=tensors("champion"), **facts)
        self.mark_saved()


def _file(row: int) -> str:
    return f"individuals/{row:04d}"
