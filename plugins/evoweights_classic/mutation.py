"""Mutation: noise on a random subset of the genes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from evoweights.catalog import setting
from evoweights.operators import GeneOperator
from evoweights.traits import Traits
from evoweights_kernels import TILE, GeneKernel, bodies

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

    sigma: float = setting(0.01, "standard deviation of the noise", unit="weight, or share of the RMS", minimum=0.0)
    rate: float = setting(0.001, "probability that a gene changes", unit="probability", minimum=0.0, maximum=1.0)
    bits: int = setting(
        32, "random bits per gene and draw: 16 take half the work, resolve rates to 1/65,536 and end the normal at 4.7"
    )
    relative_to: str = setting("rms", "what sigma is a share of", choices=("rms", "nothing"))

    @property
    def traits(self) -> Traits:  # pyright: ignore[reportIncompatibleVariableOverride] (a setting decides)
        """Relative noise grows with the tensor it is added to; the other kind does not look at it."""
        is_relative = self.relative_to == "rms"
        told = Traits("mutation", stochastic=True, tensor_wise=True, rate="rate", scale="sigma", law="normal")
        return replace(told, gene_wise=not is_relative, translates=not is_relative, homogeneous=is_relative)

    def __post_init__(self) -> None:
        """Refuse widths that do not exist."""
        if self.bits not in (16, 32):
            raise ValueError(f"bits: found {self.bits}, allowed are 16 and 32")

    @property
    def kernel(self) -> GeneKernel:  # pyright: ignore[reportIncompatibleVariableOverride] (a setting decides)
        """Where every gene changes, nothing is drawn to decide which do; the bits are the same."""
        if self.rate == 1.0:
            return {16: bodies.gaussian_mutation_of_all_16, 32: bodies.gaussian_mutation_of_all}[self.bits]
        return {16: bodies.gaussian_mutation_16, 32: bodies.gaussian_mutation}[self.bits]

    def scalars(self) -> Mapping[str, float]:
        """Sigma, and the probability of being touched if it is below 1."""
        return {"sigma": self.sigma} if self.rate == 1.0 else {"sigma": self.sigma, "touched": self.rate}

    def tile_scalars(self, layout: "Layout", target: "Tensor") -> "Mapping[str, Tensor]":
        """The scale of each tile: the RMS of the tensor it lies in, or 1. Genes that are not finite count as 0."""
        import torch

        scale = torch.ones(layout.size // TILE, device=target.device)
        if self.relative_to == "nothing":
            return {"scale": scale}
        for segment in layout.segments:
            first, last = segment.start // TILE, -(-(segment.start + segment.count) // TILE)
            if segment.count:
                scale[first:last] = _root_mean_square(
                    segment.view(target).flatten(), at_once=max(2**13, layout.size // 2048)
                )
        return {"scale": scale}


def _root_mean_square(genes: "Tensor", *, at_once: int) -> "Tensor":
    """Of a vector, NaN and infinities counted as 0; float64, in which no square of a gene overflows."""
    import torch

    # Piece by piece in one workspace, so that it takes no memory worth mentioning beside the genome.
    workspace = torch.empty(min(at_once, genes.numel()), dtype=torch.float64, device=genes.device)
    total = torch.zeros((), dtype=torch.float64, device=genes.device)
    for start in range(0, genes.numel(), at_once):  # split() would make all views at once
        piece = genes[start : start + at_once]
        finite = workspace[: piece.numel()].copy_(piece).nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
        total += finite.square_().sum()
    return (total / genes.numel()).sqrt()
