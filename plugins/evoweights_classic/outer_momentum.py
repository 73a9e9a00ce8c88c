"""Momentum over whole turns: what an individual has changed by since its last turn is the gradient of an outer optimizer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from evoweights.catalog import setting
from evoweights.operators import DIRECTIONS, GeneOperator
from evoweights.traits import Traits
from evoweights_kernels import Gene, Scalar, State, gene_kernel, saturate, where

if TYPE_CHECKING:
    from evoweights.population import Slot


@gene_kernel
def outer_step(x: Gene, slow: State, velocity: State, momentum: Scalar, rate: Scalar) -> tuple[Gene, State, State]:
    """A step of Nesterov momentum along x - slow: v <- momentum v + d;  x <- slow + rate (d + momentum v);  slow <- x.

    A gene whose `slow` is exactly 0, as all are at first, is remembered and stays. Finite genes stay finite.

    Source: torch.optim.SGD(nesterov=True), Sutskever et al. 2013, on the changes of turns: Douillard et al. 2023.
    """
    change = where(slow == 0.0, 0.0, saturate(x - slow))
    velocity = saturate(momentum * velocity + change)
    moved = where(slow == 0.0, x, saturate(slow + rate * saturate(change + momentum * velocity)))
    return moved, moved, velocity


@dataclass(frozen=True)
class OuterMomentum(GeneOperator):
    """Lets an individual go on the way that it has come: Nesterov momentum over its changes since the operator last acted.

    Give it short turns, of some 25 steps. It does nothing the first time. With momentum 0 and rate 1 it never does; with
    rate below 1 and no momentum it is Lookahead. Keeps two numbers a gene.
    """

    name: ClassVar[str] = "outer_momentum"
    source: ClassVar[str] = (
        "Zhang et al. 2019, arXiv 1907.08610 (Lookahead); Wang et al. 2019, arXiv 1910.00643 (SlowMo); "
        "Douillard et al. 2023, arXiv 2311.08105 (DiLoCo)"
    )
    traits: ClassVar[Traits] = Traits(stochastic=False, gene_wise=True)
    kernel = outer_step

    momentum: float = setting(0.5, "share of the velocity that is kept", minimum=0.0, maximum=1.0)
    rate: float = setting(0.8, "share of a step that is taken", minimum=0.0)
    direction: str = setting("current", "who is rewritten, each by itself: the current, or all", choices=DIRECTIONS)
    scope: str = setting("all", "segments that change: all, matrices, vectors, embeddings, or a glob such as '*.mlp.*'")

    @property
    def slots(self) -> "tuple[Slot, ...]":
        """The weights as it left them, and the velocity."""
        from evoweights.population import Slot

        return (Slot("outer_momentum.slow", role="state"), Slot("outer_momentum.velocity", role="state"))

    def scalars(self) -> Mapping[str, float]:
        """Momentum and rate."""
        return {"momentum": self.momentum, "rate": self.rate}
