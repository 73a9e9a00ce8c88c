"""Noise as large as what an EOE event leaves between two experts, for a single model: a control."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from evoweights.catalog import setting
from evoweights.operators import GeneOperator
from evoweights.traits import Traits
from evoweights_kernels import Chance, Gene, Normal, Scalar, State, gene_kernel, maximum, minimum, where

if TYPE_CHECKING:
    from evoweights.population import Slot


@gene_kernel
def last_change(x: Gene, before: State, strength: Scalar, touched: Chance[16], z: Normal) -> tuple[Gene, State]:
    """Add a random share of a gene's own change since the last time: x <- x + clip(strength z) (x - before).

    The share is clipped to [-1, 1]. A gene that was exactly 0 before, as all are at first, stays.
    """
    step = minimum(maximum(strength * z, -1.0), 1.0) * (x - before)
    moved = where(touched & (before != 0.0) & (step != 0.0), x + step, x)
    return moved, moved


@dataclass(frozen=True)
class LastChangeNoise(GeneOperator):
    """Adds to some genes a random share of what they have changed by since the operator last acted.

    PSO with social 2 and then crossover with rate 0.6 leave a follower at the leader in 60 % of the genes, and elsewhere off
    by N(0, (1/3)^2), clipped to [-1, 1], of what the leader has changed by: these are the defaults. It changes nothing the
    first time, and keeps one genome.
    """

    name: ClassVar[str] = "last_change_noise"
    source: ClassVar[str] = "evoweights; the noise is that of EOE, Chen 2025, arXiv 2509.24436"
    traits: ClassVar[Traits] = Traits("mutation", stochastic=True, gene_wise=True, homogeneous=True, rate="rate")
    kernel = last_change

    strength: float = setting(1 / 3, "standard deviation of the share", unit="share of the change", minimum=0.0)
    rate: float = setting(0.4, "probability that a gene is moved", unit="probability", minimum=0.0, maximum=1.0)

    @property
    def slots(self) -> "tuple[Slot, ...]":
        """The weights as it left them."""
        from evoweights.population import Slot

        return (Slot("last_change_noise.before", role="state"),)

    def scalars(self) -> Mapping[str, float]:
        """The standard deviation, and the probability of being moved."""
        return {"strength": self.strength, "touched": self.rate}
