"""Updates: how the estimated direction of ascent changes the weights, a chunk of genes at a time."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from evoweights.catalog import setting
from evoweights_es.chunk import Chunk, chunks_of, rewrite_
from evoweights_es.member import Place
from evoweights_es.perturbation import Perturbation
from evoweights_kernels import Gene, GeneKernel, Scalar, State, gene_kernel, where

if TYPE_CHECKING:
    from torch import Tensor

    from evoweights.homes.part import Part
    from evoweights.population import Slot

VELOCITY, FIRST, SECOND = "es.velocity", "es.first_moment", "es.second_moment"
STEPS = "es.steps"
"""Counter of the steps that a part has taken."""


@gene_kernel
def heavy_ball(x: Gene, velocity: State, estimate: Gene, rate: Scalar, momentum: Scalar) -> tuple[Gene, State]:
    """A step along a velocity that forgets by and by. Source: Polyak 1964."""
    velocity = momentum * velocity + estimate
    change = rate * velocity
    return where(change == 0.0, x, x + change), velocity


@gene_kernel
def shrink(x: Gene, target: Gene, share: Scalar) -> Gene:
    """A share of the way to a target."""
    change = share * (target - x)
    return where(change == 0.0, x, x + change)


@gene_kernel
def decay(x: Gene, share: Scalar) -> Gene:
    """A share of the way to zero."""
    change = share * x
    return where(change == 0.0, x, x - change)


@dataclass(frozen=True)
class Step:
    """What an update is given for one part: the estimate ``sum_i coefficients[i] eps_i``, the rate, and the part's own number
    of steps, this one included. ``rounding`` is the stream that rounds bfloat16 weights, None for nearest."""

    part: "Part"
    label: str
    perturbation: Perturbation
    coefficients: Sequence[float]
    rate: float
    number: int
    place: Place
    rounding: int | None

    def chunks(self) -> Iterator[Chunk]:
        """What is perturbed of the part, one chunk after the other."""
        return chunks_of(self.part, self.label, self.perturbation.segments(self.part))

    def estimates(self, *, sign: float = 1.0) -> "Iterator[tuple[Chunk, Tensor]]":
        """Every chunk with its estimate (times ``sign``), float32 ``[genes]``."""
        wanted = [sign * each for each in self.coefficients]
        for chunk in self.chunks():
            out = chunk.zeros()
            self.perturbation.add_estimate_(out, chunk, wanted, place=self.place)
            yield chunk, out

    def rewrite_(
        self,
        kernel: GeneKernel,
        chunk: Chunk,
        *,
        own: "Mapping[str, Tensor] | None" = None,
        given: "Mapping[str, Tensor] | None" = None,
        scalars: Mapping[str, float],
    ) -> None:
        """Apply a kernel to a chunk; ``own`` are vectors of the part's size, ``given`` of the genes alone."""
        rewrite_(kernel, chunk, own=own, given=given, scalars=scalars, rounding=self.rounding, place=self.place)


@dataclass(frozen=True)
class Update(ABC):
    """A component of kind ``update``."""

    name: ClassVar[str]
    source: ClassVar[str]

    @property
    def slots(self) -> "tuple[Slot, ...]":
        """The state it keeps for every individual."""
        return ()

    @abstractmethod
    def apply_(self, step: Step) -> None:
        """Change the weights of a part in place."""


@dataclass(frozen=True)
class Plain(Update):
    """The rate times the estimate, in one pass over the weights."""

    name: ClassVar[str] = "plain"
    source: ClassVar[str] = "EA4LLM, arXiv 2510.10603; Qiu et al. 2025, arXiv 2509.24372"

    def apply_(self, step: Step) -> None:
        """``theta += rate g``."""
        scaled = [step.rate * each for each in step.coefficients]
        step.perturbation.update_plain_(step.part, step.label, scaled, place=step.place, rounding=step.rounding)


@dataclass(frozen=True)
class Momentum(Update):
    """Heavy ball: the rate times a sum of estimates that forgets by and by."""

    name: ClassVar[str] = "momentum"
    source: ClassVar[str] = "Polyak 1964"

    momentum: float = setting(0.9, "share of the velocity that a step keeps", minimum=0.0, maximum=0.999999)

    @property
    def slots(self) -> "tuple[Slot, ...]":
        """The velocity."""
        from evoweights.population import Slot

        return (Slot(VELOCITY),)

    def apply_(self, step: Step) -> None:
        """``v = momentum v + g``; ``theta += rate v``."""
        scalars = {"rate": step.rate, "momentum": self.momentum}
        own = {"velocity": step.part.slots[VELOCITY]}
        for chunk, estimate in step.estimates():
            step.rewrite_(heavy_ball, chunk, own=own, given={"estimate": estimate}, scalars=scalars)


@dataclass(frozen=True)
class Adam(Update):
    """Adam on the estimate: every gene is scaled by the size that its estimates usually have."""

    name: ClassVar[str] = "adam"
    source: ClassVar[str] = (
        "Kingma and Ba 2015, arXiv 1412.6980; decay as in Loshchilov and Hutter 2019, arXiv 1711.05101"
    )

    beta1: float = setting(0.9, "decay of the first moment", minimum=0.0, maximum=0.999999)
    beta2: float = setting(0.999, "decay of the second moment", minimum=0.0, maximum=0.999999)
    epsilon: float = setting(1.0e-8, "added to the root of the second moment", minimum=1.0e-16)

    @property
    def slots(self) -> "tuple[Slot, ...]":
        """The two moments."""
        from evoweights.population import Slot

        return (Slot(FIRST), Slot(SECOND))

    def apply_(self, step: Step) -> None:
        """Adam's step, bias corrected by the part's own number of steps."""
        from evoweights_kernels import adamw_scalars, bodies

        scalars = adamw_scalars(step.rate, 0.0, self.beta1, self.beta2, self.epsilon, step.number)
        own = {"first_moment": step.part.slots[FIRST], "second_moment": step.part.slots[SECOND]}
        for chunk, descent in step.estimates(sign=-1.0):  # Adam goes down what it is given
            step.rewrite_(bodies.adamw, chunk, own=own, given={"gradient": descent}, scalars=scalars)
