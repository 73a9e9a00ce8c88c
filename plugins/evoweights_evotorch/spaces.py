"""The spaces that searchers move in: what a searcher's vector says of the weights."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from evoweights.catalog import setting
from evoweights.errors import UsageError
from evoweights.improvers import Moment

if TYPE_CHECKING:
    from torch import Tensor

    from evoweights.genome import Segment
    from evoweights.homes.part import Part
    from evoweights.mounted import Mounted


@dataclass(frozen=True)
class Piece:
    """One segment in scope, of the part called ``label`` (own or shared)."""

    part: "Part"
    label: str
    segment: "Segment"

    def of(self, genes: "Tensor") -> "Tensor":
        """The segment's genes of a vector of the part's size, flat."""
        return genes[self.segment.start : self.segment.start + self.segment.count]


@dataclass(frozen=True)
class Space(ABC):
    """A component of kind ``space``. Vectors are float32 and flat; ``start`` names the slot of the weights it is around.

    Weights are always written whole from a vector, never added to: the same vector gives the same bits.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    keeps_start: ClassVar[bool] = True

    scope: str = setting(
        "all", "segments that are searched: all, matrices, vectors, embeddings, or a glob such as '*.mlp.*'"
    )

    @abstractmethod
    def length(self, mounted: "Mounted") -> int:
        """Length of the vectors.

        Raises:
            UsageError: there is nothing in scope.
        """

    @abstractmethod
    def origin(self, mounted: "Mounted", moment: Moment) -> "Tensor":
        """The vector of the weights as they are, when a search begins at them."""

    @abstractmethod
    def put_(self, out: "Tensor", piece: Piece, numbers: "Tensor", start: str, moment: Moment) -> None:
        """Write to ``out`` the genes of a piece that ``numbers`` of the vector stand for: its own, or all, see :meth:`count`."""

    @abstractmethod
    def count(self, piece: Piece) -> int | None:
        """Numbers of the vector that are for one piece alone; None if every number is for all pieces."""

    def begin_(self, mounted: "Mounted", start: str, moment: Moment) -> "Tensor":
        """Let a search begin at the weights as they are; their vector."""
        if self.keeps_start:
            for piece in self.pieces(mounted):
                piece.of(piece.part.slots[start]).copy_(piece.of(piece.part.weights))
        return self.origin(mounted, moment)

    def write_(self, mounted: "Mounted", vector: "Tensor", start: str, moment: Moment) -> None:
        """Give the individual the weights that a vector stands for."""
        for piece, numbers in self._shares(mounted, vector):
            self.put_(piece.of(piece.part.weights), piece, numbers, start, moment)
        mounted.refresh_()

    def holds(self, mounted: "Mounted", vector: "Tensor", start: str, moment: Moment) -> bool:
        """Whether the weights are, bit for bit, those that a vector stands for."""
        import torch

        for piece, numbers in self._shares(mounted, vector):
            weights = piece.of(piece.part.weights)
            written = torch.empty_like(weights)
            self.put_(written, piece, numbers, start, moment)
            if not torch.equal(written.view(torch.uint8), weights.view(torch.uint8)):
                return False
        return True

    def pieces(self, mounted: "Mounted") -> list[Piece]:
        """What is in scope, of the individual's own part and of the shared one.

        Raises:
            UsageError: nothing is.
        """
        where, found = f"space {self.name}: scope", []
        parts = [each for each in (("own", mounted.own), ("shared", mounted.shared)) if each[1].layout.count]
        for label, part in parts:
            try:
                segments = part.layout.scope(self.scope, where=where)
            except UsageError:
                if len(parts) == 1:
                    raise
                continue  # a glob may be about the other part
            found += [Piece(part, label, each) for each in segments if each.count and self._takes(each)]
        if not found:
            raise UsageError(f"{where} {self.scope!r} holds nothing that this space can change. Use `scope: all`.")
        return found

    def _takes(self, segment: "Segment") -> bool:
        return segment.role != "frozen"

    def _shares(self, mounted: "Mounted", vector: "Tensor") -> "Iterator[tuple[Piece, Tensor]]":
        """Every piece and the numbers that are for it."""
        first = 0
        for piece in self.pieces(mounted):
            count = self.count(piece)
            yield piece, vector if count is None else vector[first : first + count]
            first += count or 0


@dataclass(frozen=True)
class Genome(Space):
    """The weights themselves, one number for each; in bfloat16 they are rounded to nearest from the searcher's float32."""

    name: ClassVar[str] = "genome"
    source: ClassVar[str] = "EvoTorch, Toklu et al. 2023, arXiv 2302.12600"
    keeps_start: ClassVar[bool] = False

    def length(self, mounted: "Mounted") -> int:
        """Weights in scope."""
        return sum(piece.segment.count for piece in self.pieces(mounted))

    def count(self, piece: Piece) -> int:
        """One for each gene."""
        return piece.segment.count

    def origin(self, mounted: "Mounted", moment: Moment) -> "Tensor":
        """The weights."""
        import torch

        return torch.cat([piece.of(piece.part.weights).float() for piece in self.pieces(mounted)])

    def put_(self, out: "Tensor", piece: Piece, numbers: "Tensor", start: str, moment: Moment) -> None:
        """The numbers."""
        out.copy_(numbers)


@dataclass(frozen=True)
class Subspace(Space):
    """The span of random directions through the weights of the start, the same for the whole run.

    ``theta = theta_0 + scale sum_k z_k v_k / sqrt(size)`` with standard normal ``v_k`` over all genes in scope, which are made
    anew each time and never stored.
    """

    name: ClassVar[str] = "subspace"
    source: ClassVar[str] = (
        "Li et al. 2018, Measuring the Intrinsic Dimension of Objective Landscapes, arXiv 1804.08838"
    )

    size: int = setting(64, "directions, the length of the vector; a member costs the noise of all of them", minimum=1)
    scale: float = setting(
        0.02,
        "standard deviation of the change of a weight where every number of the vector is of size 1",
        minimum=1e-12,
        maximum=1e6,
    )

    def length(self, mounted: "Mounted") -> int:
        """Directions."""
        return self.size if self.pieces(mounted) else 0

    def count(self, piece: Piece) -> None:
        """All numbers are for all genes."""

    def origin(self, mounted: "Mounted", moment: Moment) -> "Tensor":
        """Zero."""
        return mounted.own.weights.new_zeros(self.size).float()

    def write_(self, mounted: "Mounted", vector: "Tensor", start: str, moment: Moment) -> None:
        """As for every space, but in one launch for each part; noise goes by a gene's number in its part."""
        pieces = self.pieces(mounted)
        for label, part in {piece.label: piece.part for piece in pieces}.items():
            segments = [piece.segment for piece in pieces if piece.label == label]
            live = part.layout.live(segments, device=part.weights.device)
            self._add_(part.weights, part.slots[start], vector, moment, label=label, live=live)
        mounted.refresh_()

    def put_(self, out: "Tensor", piece: Piece, numbers: "Tensor", start: str, moment: Moment) -> None:
        """The start plus the weighted directions, summed in float32 and rounded once."""
        kept, first = piece.of(piece.part.slots[start]), piece.segment.start
        self._add_(out, kept, numbers, moment, label=piece.label, first=first)

    def _add_(
        self,
        out: "Tensor",
        kept: "Tensor",
        numbers: "Tensor",
        moment: Moment,
        *,
        label: str,
        first: int = 0,
        live: "Tensor | None" = None,
    ) -> None:
        from evoweights_kernels import TILE, add_weighted_noise_

        add_weighted_noise_(
            out,
            streams=[moment.fixed.stream(f"{label}/axis {number}") for number in range(self.size)],
            weights=(numbers.double() * (self.scale / math.sqrt(self.size))).tolist(),
            seed=moment.fixed.seed,
            base=kept,
            live=live,
            first_tile=first // TILE,
            backend=moment.backend,
        )
