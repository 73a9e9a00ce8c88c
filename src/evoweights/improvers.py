"""The interfaces of improvers: components that take steps on one individual, with gradients or without.

Gradient steps are components like the evolutionary operators.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from evoweights.seeds import Noise

if TYPE_CHECKING:
    from torch import Tensor

    from evoweights.mounted import Mounted
    from evoweights.population import Slot


class NonFiniteStep(ArithmeticError):
    """A loss or gradient is NaN or infinite; raised by an improver before it changes any weight."""


class Subset(Protocol):
    """What was drawn of the training data: the same items, however often they are scored."""

    def scores(self, copies: int = 1) -> "Tensor":
        """The loss of every item under the module's weights as they are now, without gradients: float64 on the CPU.

        ``copies`` repeats the items in one forward pass, first copy first, for modules that compute another individual for
        each of them: ``[copies * items]``.
        """
        ...


class Feed(Protocol):
    """The run's one stream of training batches; its position is part of every checkpoint."""

    def draw(self, mounted: "Mounted") -> Subset:
        """The next batch, to be scored as often as wanted."""
        ...

    def next_loss(self, mounted: "Mounted") -> "Tensor":
        """The differentiable loss of the mounted individual on the next batch."""
        ...

    def add_gradient_(self, mounted: "Mounted") -> "Tensor":
        """Add the gradient of the loss on the next batch to that of the mounted individual; the loss, a detached scalar.

        It takes the batch in the task's pieces and does not wait for the device.
        """
        ...


def _ignore(report: Mapping[str, Any]) -> None:
    del report  # unused: nobody asked


@dataclass(frozen=True)
class Moment:
    """Where in the run a step happens: ``step`` counts the steps of all individuals from 1 to ``total_steps``.

    ``noise`` is the place of this very step, ``fixed`` that of the individual under this improver, the same for the whole
    run. ``report`` takes what an improver has to say of its step, as JSON values, once a step at most: a line of
    ``steps.jsonl``, from which a :class:`Replayable` improver can do the step again.
    """

    step: int
    total_steps: int
    noise: Noise
    backend: str
    fixed: Noise
    report: Callable[[Mapping[str, Any]], None] = _ignore


class Improver(Protocol):
    """A component of kind ``improve``: steps on one mounted individual.

    One that uses no gradients may say so with a class attribute ``needs_gradient = False``; then none are allocated for it.
    """

    name: ClassVar[str]
    source: ClassVar[str]

    @property
    def steps(self) -> int:
        """Steps in one turn."""
        ...

    @property
    def slots(self) -> "tuple[Slot, ...]":
        """The state it keeps for every individual and for the shared part."""
        ...

    def step(self, mounted: "Mounted", feed: Feed, moment: Moment) -> float:
        """Take one step in place and return the loss before it.

        Raises:
            NonFiniteStep: the loss or its gradient is NaN or infinite; nothing was changed.
        """
        ...


@runtime_checkable
class Checking(Protocol):
    """An improver that can tell before a run starts whether it can work on individuals like the one that is mounted."""

    def check(self, mounted: "Mounted") -> None:
        """Look at layouts, not at weights: they may have no content.

        Raises:
            EvoweightsError: it cannot, with a way out.
        """
        ...


def uses_gradient(improver: Improver) -> bool:
    """Whether an improver needs gradients, which is so unless it says otherwise."""
    return bool(getattr(improver, "needs_gradient", True))


@runtime_checkable
class Replayable(Protocol):
    """An improver whose steps can be done again from what they reported, without the training data."""

    def replay(self, mounted: "Mounted", moment: Moment, report: Mapping[str, Any]) -> None:
        """Do the step of ``moment`` again, bit for bit, from its report."""
        ...
