"""All that evolves in a run, and its way into a checkpoint and back."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from evoweights.ledger.costs import UNKNOWN, Costs, Measured
from evoweights.ledger.energy import EnergyMeter
from evoweights.ledger.memory import peak_memory_bytes
from evoweights.mounted import Mounted
from evoweights.population import WEIGHTS, Population
from evoweights.progress import Progress
from evoweights.scoring import Champion


@dataclass
class World:
    """The population, the live module, the best individual so far, how far the run has come and what it has cost.

    ``meter`` has the energy since this process began to work on it, ``earlier`` what was measured before.
    """

    population: Population
    mounted: Mounted
    progress: Progress = field(default_factory=Progress)
    champion: Champion | None = None
    meter: EnergyMeter = field(default_factory=EnergyMeter)
    earlier: Measured = field(default_factory=Measured)
    _saved_champion: Champion | None = None

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

    def measured(self) -> Measured:
        """What was measured so far."""
        return self.earlier + Measured(self.mounted.moved, self.meter.joules())

    def costs(self, tokens_per_batch: int) -> Costs:
        """What the run has cost so far."""
        progress, measured = self.progress, self.measured()
        return Costs(
            tokens=progress.batches * tokens_per_batch,
            flops=progress.flops,
            evaluation_flops=progress.evaluation_flops,
            credit_flops=progress.credit_flops,
            seconds=progress.seconds,
            bytes_moved=measured.bytes_moved,
            peak_memory_bytes=peak_memory_bytes(str(self.mounted.own.weights.device)),
            joules=measured.joules,
        )

    def unchanged(self) -> set[str]:
        """The files that are the same as in the last checkpoint."""
        rows = {_file(row) for row in range(self.population.size) if row not in self.population.unsaved}
        kept = self.champion is not None and self.champion is self._saved_champion
        return rows | ({"champion"} if kept else set())

    def mark_saved(self) -> None:
        """A checkpoint of the present state is on disk."""
        self.population.unsaved.clear()
        self._saved_champion = self.champion

    def state(self) -> dict[str, Any]:
        """Everything of a checkpoint that is no tensor, as JSON values."""
        return {
            "layout": self.population.layout.fingerprint,
            "shared_layout": self.mounted.shared.layout.fingerprint,
            "progress": self.progress.state(),
            "measured": asdict(self.measured()),
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
        self.earlier = Measured(**state["measured"]) if "measured" in state else UNKNOWN  # 0.1 did not measure
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
