"""The random numbers of low-rank perturbations, each a function of seed, step, part, direction, segment and index.

The factors of direction i of a matrix ``[rows, columns]`` are the genes from ``i * space`` on of the stream
``<part>/low rank/<segment>``: first ``left [rank, rows]``, then ``right [rank, columns]``; the rest up to ``space``, a whole
number of tiles, is not used. So the factors of all directions are made in one launch, those of some in part of it, and how
members are grouped changes no number. Vectors get the noise that a dense perturbation gives them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from evoweights.genome import Segment
from evoweights.homes.part import Part
from evoweights_es.changes import Outer
from evoweights_es.member import Place
from evoweights_kernels import TILE, add_weighted_noise_


@dataclass(frozen=True)
class Draws:
    """The noise of one part in one step."""

    part: Part
    label: str
    rank: int
    place: Place

    def outer(self, segment: Segment, directions: Sequence[int], strength: Tensor) -> Outer:
        """What is added to a matrix by members of these directions and strengths (float32, one each)."""
        distinct = sorted(set(directions))
        made = [self.factors(segment, run) for run in _runs(distinct)]
        chosen = torch.tensor([distinct.index(each) for each in directions], device=self.part.weights.device)
        left, right = (torch.cat(each).index_select(0, chosen) for each in zip(*made, strict=True))
        left *= strength[:, None, None] / math.sqrt(self.rank)
        return Outer(left.to(self.part.compute.dtype), right.to(self.part.compute.dtype))

    def factors(self, segment: Segment, directions: range) -> tuple[Tensor, Tensor]:
        """``left [directions, rank, rows]`` and ``right [directions, rank, columns]``, standard normal float32."""
        rows, columns = sides(segment)
        space = self.space(segment)
        numbers = torch.zeros(len(directions) * space, dtype=torch.float32, device=self.part.weights.device)
        self._add_(numbers, [f"low rank/{segment.name}"], [1.0], directions.start * space)
        table, middle = numbers.view(len(directions), space), self.rank * rows
        left = table[:, :middle].view(-1, self.rank, rows)
        return left, table[:, middle : middle + self.rank * columns].view(-1, self.rank, columns)

    def space(self, segment: Segment) -> int:
        """Genes of the noise that the factors of one direction take."""
        return -(-self.rank * sum(sides(segment)) // TILE) * TILE

    def vectors(self, segments: Sequence[Segment], directions: Sequence[int]) -> list[Tensor]:
        """The noise of every segment, standard normal float32 ``[directions, genes]``."""
        if not segments:
            return []
        start, last = segments[0].start, segments[-1]
        span = -(-(last.start + last.count - start) // TILE) * TILE
        noise = torch.zeros(len(directions), span, dtype=torch.float32, device=self.part.weights.device)
        for row, number in zip(noise, directions, strict=True):
            self._add_(row, [f"direction {number}"], [1.0], start)
        return [noise[:, each.start - start :][:, : each.count] for each in segments]

    def add_vector_(self, out: Tensor, segment: Segment, first: int, coefficients: Sequence[float]) -> None:
        """Add the weighted noise of all directions to genes of a vector, from its gene ``first`` on."""
        names = [f"direction {number}" for number in range(len(coefficients))]
        self._add_(out, names, coefficients, segment.start + first)

    def _add_(self, out: Tensor, names: Sequence[str], weights: Sequence[float], gene: int) -> None:
        """Add weighted noise to ``out``, whose first gene has the number ``gene``, a multiple of the tile."""
        assert gene % TILE == 0, gene
        add_weighted_noise_(
            out,
            streams=[self.place.noise.stream(f"{self.label}/{name}") for name in names],
            weights=list(weights),
            seed=self.place.noise.seed,
            first_tile=gene // TILE,
            backend=self.place.backend,
        )


def sides(segment: Segment) -> tuple[int, int]:
    """Rows and columns of a matrix as it is stored."""
    return segment.shape[0], segment.count // segment.shape[0]


def _runs(numbers: Sequence[int]) -> list[range]:
    """Rising numbers as runs of neighbours."""
    runs: list[range] = []
    for each in numbers:
        if runs and runs[-1].stop == each:
            runs[-1] = range(runs[-1].start, each + 1)
        else:
            runs.append(range(each, each + 1))
    return runs
