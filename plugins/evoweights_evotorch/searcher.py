"""What all searchers have in common: scoring by the run's own task, state in the individual's memory, reports, replays."""

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from evoweights.catalog import part, setting
from evoweights.errors import CheckpointError, UsageError
from evoweights.improvers import Feed, Moment, NonFiniteStep
from evoweights.seeds import seeded
from evoweights_evotorch.installed import quietly, require_evotorch
from evoweights_evotorch.room import refuse_what_does_not_fit
from evoweights_evotorch.spaces import Genome, Space

if TYPE_CHECKING:
    from torch import Tensor

    from evoweights.mounted import Mounted
    from evoweights.population import Slot

MEMORY = "evotorch."
"""Beginning of the names of all tensors that searchers keep for an individual."""
LARGEST = 1.0e30
"""Numbers of a vector, and losses, beyond which float32 arithmetic overflows; more counts as infinite."""
MAY_BE_INFINITE = ("population", "losses")
"""What a searcher keeps of members that have failed."""
ALIGNMENT = 64
"""Bytes that addresses of fresh tensors are multiples of."""


@dataclass(frozen=True)
class Generation:
    """What one generation left: the searcher's state by name, ``centre`` among it, and facts to report as JSON values."""

    state: "Mapping[str, Tensor]"
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Searcher(ABC):
    """A component of kind ``improve``: a step is one generation of a searcher around the individual.

    Between steps a searcher is nothing but tensors in the individual's memory: it is made anew from them for every generation, so
    stopping, resuming and moving an individual change nothing. If other components have changed the weights meanwhile, it
    starts again around them.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    needs_gradient: ClassVar[bool] = False

    steps: int = setting(10, "generations in one turn", unit="steps", minimum=0)
    space: Space = part("space", Genome, "what the searcher's vector is")

    def __post_init__(self) -> None:
        """Refuse to be configured where EvoTorch is missing."""
        require_evotorch(self.name)

    @property
    def slots(self) -> "tuple[Slot, ...]":
        """The weights that the space is around, if it needs them."""
        from evoweights.population import Slot

        return (Slot(self._start, role="state"),) if self.space.keeps_start else ()

    @abstractmethod
    def generation(
        self, state: "Mapping[str, Tensor]", losses: "Callable[[Tensor], Tensor]", moment: Moment
    ) -> Generation:
        """Take one generation; a state of ``centre`` alone is that of a searcher that begins there.

        ``losses`` gives float64 ``[n]`` for vectors ``[n, length]``; one that is NaN or infinite counts as infinite.
        """

    @abstractmethod
    def needed_bytes(self, length: int) -> int:
        """The most memory of a generation over vectors of this length, as measured; members' forward passes not counted."""

    def check(self, mounted: "Mounted") -> None:
        """See that there is something to search and that it fits in memory; nothing is allocated.

        Raises:
            UsageError: the space is empty, or a single number.
            ResourceError: it does not fit.
        """
        length = self.space.length(mounted)
        if length < 2:
            raise UsageError(
                f"improve {self.name}: space {self.space.name} is {length} number; searchers need at least 2."
            )
        refuse_what_does_not_fit(
            self.needed_bytes(length),
            mounted.own.weights.device,
            what=f"improve {self.name} over {length:,} numbers (space {self.space.name})",
            advice="Search a subspace or a LoRA (`space: subspace`), narrow space.scope, or make popsize smaller.",
        )

    def step(self, mounted: "Mounted", feed: Feed, moment: Moment) -> float:
        """Take one generation on one draw of the data; the mean loss of its members.

        Raises:
            NonFiniteStep: no member has a finite loss, or the searcher has diverged; the weights were not changed.
        """
        subset = feed.draw(mounted)

        def score(vector: "Tensor") -> float:
            if not bool((vector.abs() <= LARGEST).all()):
                return math.nan  # no weights follow from it
            self.space.write_(mounted, vector, self._start, moment)
            return float(subset.scores().mean())

        return self._take(mounted, moment, score)

    def replay(self, mounted: "Mounted", moment: Moment, report: Mapping[str, Any]) -> None:
        """Do the generation of this report again."""
        known = iter(_logged_losses(report))
        self._take(mounted, moment, lambda vector: next(known, math.nan))

    def _take(self, mounted: "Mounted", moment: Moment, score: "Callable[[Tensor], float]") -> float:
        import torch

        state, restarted = self._state(mounted, moment)
        found: list[float] = []

        def losses(vectors: "Tensor") -> "Tensor":
            new = [score(vector) for vector in vectors]
            found.extend(new)
            numbers = [each if _is_sound(each) else math.inf for each in new]
            return torch.tensor(numbers, dtype=torch.float64, device=vectors.device)

        kept = state["centre"]
        try:
            # EvoTorch draws from the global generator too, for numbers that it multiplies by zero.
            with torch.no_grad(), quietly(), seeded(moment.noise):
                made = self.generation(state, losses, moment)
            finite = [each for each in found if _is_sound(each)]
            if not finite:
                raise NonFiniteStep(f"none of the {len(found)} members has a finite loss")
            for name, each in made.state.items():
                if name not in MAY_BE_INFINITE and not bool(torch.isfinite(each).all()):
                    raise NonFiniteStep(f"{self.name} has diverged: its {name} is not finite")
            self._keep(mounted, made.state)
            kept = made.state["centre"]
        finally:
            self.space.write_(mounted, kept, self._start, moment)
        moment.report(_report(found, finite, restarted) | dict(made.facts))
        return sum(finite) / len(finite)

    def _state(self, mounted: "Mounted", moment: Moment) -> "tuple[dict[str, Tensor], bool]":
        """What is kept of the searcher, if the weights are still those that it left; else a fresh one around them."""
        device = mounted.own.weights.device
        kept = {
            name.removeprefix(self._prefix): _aligned(each.to(device))
            for name, each in mounted.memory.items()
            if name.startswith(self._prefix)
        }
        if kept and self.space.holds(mounted, kept["centre"], self._start, moment):
            return kept, False
        return {"centre": self.space.begin_(mounted, self._start, moment)}, bool(kept)

    def _keep(self, mounted: "Mounted", state: "Mapping[str, Tensor]") -> None:
        """Remember a state; those of other searchers are of no use once the weights have moved."""
        others = {name: each for name, each in mounted.memory.items() if not name.startswith(MEMORY)}
        mounted.memory = others | {f"{self._prefix}{name}": each.contiguous() for name, each in state.items()}

    @property
    def _prefix(self) -> str:
        """Beginning of the names of this searcher's tensors; with other settings it is another searcher."""
        return f"{MEMORY}{self.name}.{hashlib.blake2b(repr(self).encode(), digest_size=4).hexdigest()}."

    @property
    def _start(self) -> str:
        return f"{self.name}.start"


def refuse_crossed_bounds(least: float | None, most: float | None) -> None:
    """See that a standard deviation can be within its bounds.

    Raises:
        ValueError: it cannot.
    """
    if least is not None and most is not None and least > most:
        raise ValueError(f"stdev_min: {least} is more than stdev_max, {most}; lower it or leave one of them out")


def _logged_losses(report: Mapping[str, Any]) -> list[float]:
    """The losses of a generation from its report.

    Raises:
        CheckpointError: they are not numbers.
    """
    losses = report.get("losses")
    if isinstance(losses, list) and all(isinstance(each, int | float) for each in losses):
        return losses
    raise CheckpointError(
        "The log has no losses for a generation of a searcher: it or config.yaml was changed, so the run cannot be replayed."
    )


def _is_sound(loss: float) -> bool:
    return abs(loss) <= LARGEST


def _aligned(tensor: "Tensor") -> "Tensor":
    """A tensor where torch would have put it: products of matrices round otherwise in memory that a file was read to."""
    return tensor.clone() if tensor.data_ptr() % ALIGNMENT else tensor


def _report(found: list[float], finite: list[float], restarted: bool) -> dict[str, Any]:
    mean = sum(finite) / len(finite)
    return {
        "losses": found,
        "best_loss": min(finite),
        "mean_loss": mean,
        "spread": math.sqrt(sum((each - mean) ** 2 for each in finite) / len(finite)),
        "failed_members": len(found) - len(finite),
        "restarted": restarted,
    }
