"""The interface of perturbations: how members differ from the centre, and how their noise is added up again."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from evoweights.catalog import setting
from evoweights.errors import UsageError
from evoweights_es.chunk import Chunk, add_, chunks_of
from evoweights_es.member import Member, Place

if TYPE_CHECKING:
    from torch import Tensor

    from evoweights.genome import Segment
    from evoweights.homes.part import Part
    from evoweights.improvers import Subset
    from evoweights.mounted import Mounted


@dataclass(frozen=True)
class Perturbation(ABC):
    """A component of kind ``perturbation``.

    Direction i is noise ``eps_i`` over all genes in scope, of mean 0 and variance 1, and a function of the place of a step alone:
    nothing of it is kept. Labels are ``own`` and ``shared``, the two parts of a mounted individual.
    """

    name: ClassVar[str]
    source: ClassVar[str]

    scope: str = setting(
        "all", "segments that are perturbed: all, matrices, vectors, embeddings, or a glob such as '*.mlp.*'"
    )

    @abstractmethod
    def scores(
        self, mounted: "Mounted", subset: "Subset", members: Sequence[Member], *, sigma: float, place: Place
    ) -> "Tensor":
        """Losses of the members, float64 ``[members, items]``. No bit of a weight differs afterwards."""

    @abstractmethod
    def add_estimate_(self, out: "Tensor", chunk: Chunk, coefficients: Sequence[float], *, place: Place) -> None:
        """``out += sum_i coefficients[i] eps_i`` over the genes of a chunk. ``out`` is float32 ``[genes]``, and so is the sum."""

    def update_plain_(
        self, part: "Part", label: str, coefficients: Sequence[float], *, place: Place, rounding: int | None
    ) -> None:
        """``weights += sum_i coefficients[i] eps_i`` for a whole part, one rounding for each weight.

        ``rounding`` is the stream that rounds bfloat16 weights; None rounds to nearest.
        """
        for chunk in chunks_of(part, label, self.segments(part)):
            estimate = chunk.zeros()
            self.add_estimate_(estimate, chunk, coefficients, place=place)
            add_(chunk, estimate, rounding=rounding, place=place)

    def genes(self, mounted: "Mounted") -> int:
        """Genes that noise changes: the d of how far a step moves."""
        return self.dimension(mounted)

    def dimension(self, mounted: "Mounted") -> int:
        """Dimensions that are searched, all genes unless there are fewer ways to go: the d of the cosine."""
        return sum(segment.count for part in mounted.parts for segment in self.segments(part))

    def segments(self, part: "Part") -> "list[Segment]":
        """What of a part is perturbed; a glob may match in the other part only."""
        try:
            return [
                each for each in part.layout.scope(self.scope, where=f"perturbation {self.name}: scope") if each.count
            ]
        except UsageError:
            return []

    def check(self, mounted: "Mounted") -> None:
        """See that there is something to perturb.

        Raises:
            UsageError: the scope holds nothing.
        """
        if not any(self.segments(part) for part in mounted.parts):
            for part in mounted.parts:
                part.layout.scope(self.scope, where=f"perturbation {self.name}: scope")
            raise UsageError(
                f"perturbation {self.name}: scope {self.scope!r} holds no gene that is not frozen. Use a wider one, such as all."
            )
