"""Chunks of genes: what estimates are made of and kernels rewrite, so much at a time."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evoweights_es.member import Place
from evoweights_kernels import Gene, GeneKernel, gene_kernel, where

if TYPE_CHECKING:
    from torch import Tensor

    from evoweights.genome import Segment
    from evoweights.homes.part import Part

CHUNK = 1 << 20
"""Genes of an estimate that are held at a time, in float32; a multiple of the tile."""


@dataclass(frozen=True)
class Chunk:
    """``count`` genes of a segment from ``first`` on; ``label`` is that of the part, ``own`` or ``shared``.

    ``first`` is a multiple of the tile, as the start of a segment is, so that noise is drawn from the middle of no tile.
    """

    part: "Part"
    label: str
    segment: "Segment"
    first: int
    count: int

    @property
    def start(self) -> int:
        """The number of the first gene in the part."""
        return self.segment.start + self.first

    def zeros(self) -> "Tensor":
        """Where to make an estimate of these genes: float32 ``[count]``."""
        import torch

        return torch.zeros(self.count, device=self.part.weights.device)


def chunks_of(part: "Part", label: str, segments: "Iterable[Segment]") -> Iterator[Chunk]:
    """All genes of the segments, one chunk after the other."""
    for segment in segments:
        for first in range(0, segment.count, CHUNK):
            yield Chunk(part, label, segment, first, min(CHUNK, segment.count - first))


@gene_kernel
def add(x: Gene, change: Gene) -> Gene:
    """A change that is made elsewhere."""
    return where(change == 0.0, x, x + change)  # adding a zero turns -0.0 into 0.0


def rewrite_(
    kernel: GeneKernel,
    chunk: Chunk,
    *,
    own: "Mapping[str, Tensor] | None" = None,
    given: "Mapping[str, Tensor] | None" = None,
    scalars: Mapping[str, float] | None = None,
    rounding: int | None,
    place: Place,
) -> None:
    """Apply a kernel to a chunk; ``own`` are vectors of the part's size, ``given`` of the genes alone."""
    from evoweights_kernels import TILE, Call, apply_

    genes = slice(chunk.start, chunk.start + chunk.count)
    read = {name: each[genes] for name, each in (own or {}).items()}
    tensors = {"x": chunk.part.weights[genes], **read, **(given or {})}
    streams = {} if rounding is None else {"rounding": rounding}
    call = Call(kernel, tensors=tensors, scalars=dict(scalars or {}), streams=streams)
    apply_([call], seed=place.noise.seed, first_tile=chunk.start // TILE, backend=place.backend)


def add_(chunk: Chunk, change: "Tensor", *, rounding: int | None, place: Place) -> None:
    """Add a change, float32 ``[count]``."""
    rewrite_(add, chunk, given={"change": change}, rounding=rounding, place=place)
