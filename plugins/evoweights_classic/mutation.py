"""Mutation: noise on a random subset of the genes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from evoweights.catalog import setting
from evoweights.operators import GeneOperator
from evoweights_kernels import TILE, bodies

if TYPE_CHECKING:
    from torch import Tensor

    from evoweights.genome import Layout


@dataclass(frozen=True)
class Mutation(GeneOperator):
    """Masked Gaussian mutation: with probability ``rate`` a gene changes by ``sigma * z``, z standard normal.

    ``relative_to: rms`` multiplies sigma by the root mean square of the gene's tensor when the phase begins.
    """

    name: ClassVar[str] = "mutation"
    source: ClassVar[str] = "Rechenberg 1973; Schwefel 1977"
    kernel = bodies.gaussian_mutation

    sigma: float = setting(0.01, "standard deviation of the noise", unit="weight, or share of the RMS", minimum=0.0)
    rate: float = setting(0.001, "probability that a gene changes", unit="probability", minimum=0.0, maximum=1.0)
    relative_to: str = setting("rms", "what sigma is a share of", choices=("rms", "nothing"))

    def scalars(self) -> Mapping[str, float]:
        """Sigma, and the probability of being touched."""
        return {"sigma": self.sigma, "touched": self.rate}

    def tile_scalars(self, layout: "Layout", target: "Tensor") -> "Mapping[str, Tensor]":
        """The scale of each tile: the RMS of the tensor it lies in, or 1. Genes that are not finite count as 0."""
        import torch

        scale = torch.ones(layout.size // TILE, device=target.device)
        if self.relative_to == "nothing":
            return {"scale": scale}
        for segment in layout.segments:
            first, last = segment.start // TILE, -(-(segment.start + segment.count) // TILE)
            if segment.count:
                finite = segment.view(target).float().nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
                scale[first:last] = finite.square().mean().sqrt()
        return {"scale": scale}
