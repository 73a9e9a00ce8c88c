"""Low-rank changes of all matrices, as a space to search."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from evoweights.catalog import setting
from evoweights.improvers import Moment
from evoweights_evotorch.spaces import Piece, Space

if TYPE_CHECKING:
    from torch import Tensor

    from evoweights.genome import Segment
    from evoweights.mounted import Mounted


@dataclass(frozen=True)
class LoRA(Space):
    """A change of low rank to every matrix: ``theta = theta_0 + scale B A``; the vector holds the factors of all matrices.

    B begins at zero and A as noise of variance 1 / columns, so that the search begins at the weights as they are.
    """

    name: ClassVar[str] = "lora"
    source: ClassVar[str] = "Hu et al. 2021, LoRA, arXiv 2106.09685"

    scope: str = setting("matrices", "matrices that change: all, matrices, embeddings, or a glob such as '*.attn.*'")
    rank: int = setting(1, "rank of the change", minimum=1)
    scale: float = setting(1.0, "factor of the change", minimum=1e-12)

    def length(self, mounted: "Mounted") -> int:
        """Numbers of all factors."""
        return sum(self.count(piece) for piece in self.pieces(mounted))

    def count(self, piece: Piece) -> int:
        """B ``[rows, rank]``, then A ``[rank, columns]``."""
        return self.rank * sum(_sides(piece.segment))

    def origin(self, mounted: "Mounted", moment: Moment) -> "Tensor":
        """B zero, A noise of the run."""
        import torch

        from evoweights_kernels import normals

        made = []
        for piece in self.pieces(mounted):
            rows, columns = _sides(piece.segment)
            stream = moment.fixed.stream(f"{piece.label}/lora/{piece.segment.name}")
            noise = normals(moment.fixed.seed, stream, self.rank * columns) / math.sqrt(columns)
            made += [torch.zeros(self.rank * rows), noise]
        return torch.cat(made).to(mounted.own.weights.device)

    def put_(self, out: "Tensor", piece: Piece, numbers: "Tensor", start: str, moment: Moment) -> None:
        """The start plus the product, in float32 and rounded once."""
        import torch

        rows, columns = _sides(piece.segment)
        left, right = numbers.split([self.rank * rows, self.rank * columns])
        change = (left.view(rows, self.rank) @ right.view(self.rank, columns)).flatten().mul_(self.scale)
        kept = piece.of(piece.part.slots[start])
        # A zero is left as it is, with its sign.
        out.copy_(torch.where(change == 0, kept, kept + change))

    def _takes(self, segment: "Segment") -> bool:
        return super()._takes(segment) and len(segment.shape) > 1


def _sides(segment: "Segment") -> tuple[int, int]:
    """Rows and columns of a matrix as it is stored."""
    return segment.shape[0], segment.count // segment.shape[0]
