"""Perturbations of low rank, whose members are computed together in one forward pass."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakKeyDictionary

from evoweights.catalog import setting
from evoweights_es.chunk import Chunk
from evoweights_es.member import Member, Place
from evoweights_es.perturbation import Perturbation
from evoweights_es.uncounted import uncounted

if TYPE_CHECKING:
    from torch import Tensor, nn

    from evoweights.genome import Segment
    from evoweights.homes.part import Part
    from evoweights.improvers import Subset
    from evoweights.mounted import Mounted
    from evoweights_es.changes import Changes, Outer
    from evoweights_es.low_rank_noise import Draws

BUDGET = {"cpu": 1 << 30}
"""Bytes that members computed together may take, by kind of device."""
BUDGET_ELSEWHERE = 1 << 34
RESULTS = 6
"""Tensors as large as the largest result of a layer that are taken to be alive at a time."""
FACTORS = 1 << 22
"""Numbers that an estimate makes of a matrix's factors at a time, at least; a quarter of the matrix if that is more."""


@dataclass(frozen=True)
class LowRank(Perturbation):
    """Gaussian noise of low rank on every matrix, ``left^T right / sqrt(rank)``; members share one forward pass.

    All products with the weights are shared, so N members cost hardly more than a batch N times as large. For Linear,
    Embedding and the Conv1D of transformers; other layers may own vectors only.
    """

    name: ClassVar[str] = "low_rank"
    source: ClassVar[str] = "Sarkar et al. 2025, arXiv 2511.16652 (EGGROLL)"

    rank: int = setting(1, "rank of a member's change to a matrix", minimum=1)
    vectors: str = setting(
        "gaussian", "what biases and norms get: noise of their own, or none", choices=("gaussian", "frozen")
    )
    members_at_once: int = setting(
        0,
        "members in one forward pass; 0: the largest power of two whose activations, taken as 6 times the largest result "
        "of a layer, fit in 1 GiB on a CPU and 16 GiB elsewhere",
        unit="members",
        minimum=0,
    )

    def segments(self, part: "Part") -> "list[Segment]":
        """What is perturbed of a part."""
        return [each for each in super().segments(part) if self.vectors == "gaussian" or each.role != "vector"]

    def scores(
        self, mounted: "Mounted", subset: "Subset", members: Sequence[Member], *, sigma: float, place: Place
    ) -> "Tensor":
        """Losses of the members, float64 ``[members, items]``."""
        import torch

        from evoweights_es.batched import as_members

        at_once = min(len(members), self._fitting(mounted, subset, place))
        found = []
        for first in range(0, len(members), at_once):
            group = members[first : first + at_once]
            with as_members(mounted.module, self.changes(mounted, group, sigma=sigma, place=place)):
                found.append(subset.scores(len(group)).view(len(group), -1))
        return torch.cat(found)

    def changes(self, mounted: "Mounted", members: Sequence[Member], *, sigma: float, place: Place) -> "Changes":
        """How the members differ from the mounted individual: all the noise there is in scoring them."""
        directions = [each.direction for each in members]
        return self._changes(mounted, directions, [sigma * each.sign for each in members], place)

    def _changes(
        self, mounted: "Mounted", directions: Sequence[int], strengths: Sequence[float], place: Place
    ) -> "Changes":
        import torch

        from evoweights_es.changes import Changes

        matrices: dict[str, Outer] = {}
        vectors: dict[str, Tensor] = {}
        for label, part in (("own", mounted.own), ("shared", mounted.shared)):
            draws = self._draws(part, label, place)
            strength = torch.tensor(strengths, dtype=torch.float32, device=part.weights.device)
            perturbed = self.segments(part)
            for segment in perturbed:
                if len(segment.shape) > 1:
                    matrices[segment.name] = draws.outer(segment, directions, strength)
            flat = [segment for segment in perturbed if len(segment.shape) < 2]
            for segment, noise in zip(flat, draws.vectors(flat, directions), strict=True):
                genes = segment.view(part.weights).flatten().float()
                vectors[segment.name] = torch.addcmul(genes, noise, strength[:, None])
        return Changes(len(directions), matrices, vectors)

    def add_estimate_(self, out: "Tensor", chunk: Chunk, coefficients: Sequence[float], *, place: Place) -> None:
        """``out += sum_i coefficients[i] eps_i`` over the genes of a chunk: one product of all directions and ranks."""
        draws, segment = self._draws(chunk.part, chunk.label, place), chunk.segment
        if len(segment.shape) < 2:
            draws.add_vector_(out, segment, chunk.first, coefficients)
            return
        if not any(coefficients):
            return  # adding zeros would change -0.0
        columns = segment.count // segment.shape[0]
        top, bottom = chunk.first // columns, -(-(chunk.first + chunk.count) // columns)
        block = out.new_zeros(bottom - top, columns)
        _add_products_(block, draws, segment, slice(top, bottom), coefficients)
        out += block.view(-1)[chunk.first - top * columns :][: chunk.count]

    def update_plain_(
        self, part: "Part", label: str, coefficients: Sequence[float], *, place: Place, rounding: int | None
    ) -> None:
        """``weights += sum_i coefficients[i] eps_i``: in float32 one product per matrix, straight into the weights."""
        import torch

        if not any(coefficients):
            return
        if part.weights.dtype != torch.float32:
            super().update_plain_(part, label, coefficients, place=place, rounding=rounding)
            return
        draws = self._draws(part, label, place)
        for segment in self.segments(part):
            genes = segment.view(part.weights).flatten()
            if len(segment.shape) < 2:
                draws.add_vector_(genes, segment, 0, coefficients)
            else:
                _add_products_(genes.view(segment.shape[0], -1), draws, segment, slice(None), coefficients)

    def _draws(self, part: "Part", label: str, place: Place) -> "Draws":
        from evoweights_es.low_rank_noise import Draws

        return Draws(part, label, self.rank, place)

    def _fitting(self, mounted: "Mounted", subset: "Subset", place: Place) -> int:
        """Members in one forward pass; a module that is new here is checked first."""
        if mounted.module not in self._largest_results:
            with uncounted(mounted):
                self._largest_results[mounted.module] = self._check(mounted, subset, place)
        if self.members_at_once:
            return self.members_at_once
        budget = BUDGET.get(mounted.own.weights.device.type, BUDGET_ELSEWHERE)
        fitting = budget // (RESULTS * max(1, self._largest_results[mounted.module]))
        return 1 << max(0, fitting.bit_length() - 1)

    def _check(self, mounted: "Mounted", subset: "Subset", place: Place) -> int:
        """See that members of a module can be computed as they are here; bytes of a layer's largest result for one of them."""
        from evoweights_es.batched import owners
        from evoweights_es.isolation import check, refuse_reads_outside

        owners(mounted.module, {each.name for part in mounted.parts for each in self.segments(part)})
        refuse_reads_outside(mounted, self.segments, subset)
        if self.members_at_once == 1:
            return 0
        plain, changed = (self._changes(mounted, [0, 0], [0.0, far], place) for far in (0.0, 1.0))
        return check(mounted.module, subset, plain, changed)

    @functools.cached_property
    def _largest_results(self) -> "WeakKeyDictionary[nn.Module, int]":
        """Bytes of the largest result of a layer for one member, of every module that has been checked."""
        return WeakKeyDictionary()


def _add_products_(
    block: "Tensor", draws: "Draws", segment: "Segment", rows: slice, coefficients: Sequence[float]
) -> None:
    """Add the estimate of some rows of a matrix to ``block``, float32 ``[rows, columns]``, so many directions at a time."""
    at_once = max(1, max(FACTORS, segment.count // 4) // draws.space(segment))
    for start in range(0, len(coefficients), at_once):
        directions = range(start, min(start + at_once, len(coefficients)))
        wanted = coefficients[start : directions.stop]
        if not any(wanted):
            continue
        left, right = draws.factors(segment, directions)
        scaled = left[:, :, rows] * block.new_tensor(wanted)[:, None, None]
        block.addmm_(scaled.flatten(0, 1).t(), right.flatten(0, 1), alpha=1 / math.sqrt(draws.rank))
