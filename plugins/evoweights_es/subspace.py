"""A random subspace: members differ along a few fixed directions of all genes, so that a step searches few dimensions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from evoweights.catalog import setting
from evoweights_es.chunk import Chunk
from evoweights_es.gaussian import Gaussian
from evoweights_es.member import Member, Place

if TYPE_CHECKING:
    from torch import Tensor

    from evoweights.homes.part import Part
    from evoweights.improvers import Subset
    from evoweights.mounted import Mounted


@dataclass(frozen=True)
class Subspace(Gaussian):
    """Gaussian noise within the span of ``size`` random directions that stay the same for the whole run.

    Direction i is ``sum_k u_ik v_k / sqrt(size)`` with standard normal ``v_k`` of the run and ``u_ik`` of the step, so every
    gene has the variance it has with dense noise, but the estimate has only ``size`` numbers to find.
    """

    name: ClassVar[str] = "subspace"
    source: ClassVar[str] = (
        "Li et al. 2018, Measuring the Intrinsic Dimension of Objective Landscapes, arXiv 1804.08838"
    )

    size: int = setting(64, "directions of the subspace; each costs the noise of one member", minimum=1)

    def scores(
        self, mounted: "Mounted", subset: "Subset", members: Sequence[Member], *, sigma: float, place: Place
    ) -> "Tensor":
        """Losses of the members, float64 ``[members, items]``, one forward pass each."""
        import torch

        within, found = _within(place), []
        for member in members:
            weights = self._mixed([0.0] * member.direction + [member.sign * sigma], place)
            found.append(self.score(mounted, subset, self._names, weights, place=within))
        return torch.stack(found)

    def add_estimate_(self, out: "Tensor", chunk: Chunk, coefficients: Sequence[float], *, place: Place) -> None:
        """``out += sum_i coefficients[i] eps_i`` over the genes of a chunk."""
        weights = self._mixed(coefficients, place)
        self.add_(out, chunk.label, chunk.start, self._names, weights, place=_within(place))

    def update_plain_(
        self, part: "Part", label: str, coefficients: Sequence[float], *, place: Place, rounding: int | None
    ) -> None:
        """``weights += sum_i coefficients[i] eps_i`` in one pass over the part."""
        live = part.layout.live(self.segments(part), device=part.weights.device)
        weights = self._mixed(coefficients, place)
        self.add_(part.weights, label, 0, self._names, weights, place=_within(place), live=live, rounding=rounding)

    def genes(self, mounted: "Mounted") -> int:
        """Genes that are perturbed."""
        return super().dimension(mounted)

    def dimension(self, mounted: "Mounted") -> int:
        """Directions of the subspace."""
        return min(self.size, self.genes(mounted))

    @property
    def _names(self) -> list[str]:
        return [f"axis {number}" for number in range(self.size)]

    def _mixed(self, coefficients: Sequence[float], place: Place) -> list[float]:
        """Coefficients of the axes from those of directions: ``sum_i c_i u_ik / sqrt(size)``, in float64."""
        import torch

        from evoweights_kernels import normals

        mixed = torch.zeros(self.size, dtype=torch.float64)
        for number, coefficient in enumerate(coefficients):
            if coefficient:
                stream = place.noise.stream(f"direction {number}")
                mixed += coefficient * normals(place.noise.seed, stream, self.size).double()
        return (mixed / math.sqrt(self.size)).tolist()


def _within(place: Place) -> Place:
    """The place of what stays the same for the run; roundings are the step's own and are passed as streams."""
    return Place(place.fixed, place.fixed, place.backend)
