"""Who lives on. Fitness is a loss; NaN (unknown or failed) never wins over a known one; ties go to the lower row."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from evoweights.catalog import setting
from evoweights.seeds import Noise
from evoweights.traits import Traits

RANKED = Traits(elitist=True, by_rank=True, equivariant=True)
"""What every selection here claims, unless a setting says otherwise."""


def ranking(fitness: Sequence[float]) -> list[int]:
    """The rows from best to worst; NaN last."""
    return sorted(range(len(fitness)), key=lambda row: (math.isnan(fitness[row]), fitness[row], row))


@dataclass(frozen=True)
class Best:
    """Everyone stays in place; the best individual ever measured is kept and saved."""

    name: ClassVar[str] = "best"
    source: ClassVar[str] = "Chen 2025, arXiv 2509.24436"
    traits: ClassVar[Traits] = RANKED

    def choose(self, fitness: Sequence[float], noise: Noise) -> list[int]:
        """Each row itself."""
        del noise  # unused: nothing is drawn
        return list(range(len(fitness)))


@dataclass(frozen=True)
class Truncation:
    """The worst share of the population becomes copies of individuals drawn from the best share."""

    name: ClassVar[str] = "truncation"
    source: ClassVar[str] = "Jaderberg et al. 2017, arXiv 1711.09846, section 3 (exploit)"
    traits: ClassVar[Traits] = replace(RANKED, replaced="share")

    share: float = setting(0.2, "of the population that is replaced", unit="fraction", minimum=0.0, maximum=0.5)

    def choose(self, fitness: Sequence[float], noise: Noise) -> list[int]:
        """Each row itself, but for the last ``floor(share * N)`` of the ranking; a NaN is never copied."""
        import torch

        ranked, chosen = ranking(fitness), list(range(len(fitness)))
        count = math.floor(self.share * len(fitness) + 1e-9)  # 0.29 * 100 is a little less than 29
        parents = [row for row in ranked[:count] if not math.isnan(fitness[row])]
        if not parents:
            return chosen
        drawn = torch.randint(len(parents), (count,), generator=noise.generator()).tolist()
        for row, draw in zip(ranked[len(ranked) - count :], drawn, strict=True):
            chosen[row] = parents[draw]
        return chosen


@dataclass(frozen=True)
class Tournament:
    """Every row is filled by the winner of a tournament; the best individuals keep their rows.

    Operators of the next generation may rewrite those too; the best individual ever measured is saved in any case.
    """

    name: ClassVar[str] = "tournament"
    source: ClassVar[str] = "Miller and Goldberg 1995, Complex Systems 9:193"

    contestants: int = setting(2, "rows drawn with replacement for each tournament", unit="individuals", minimum=1)
    elites: int = setting(1, "best individuals that stay where they are", unit="individuals", minimum=0)

    @property
    def traits(self) -> Traits:
        """Without elites the best may be lost."""
        return replace(RANKED, elitist=self.elites > 0, elites="elites", contestants="contestants")

    def choose(self, fitness: Sequence[float], noise: Noise) -> list[int]:
        """Elites in place, elsewhere the best of ``contestants`` rows drawn uniformly."""
        import torch

        size, ranked = len(fitness), ranking(fitness)
        place = {row: rank for rank, row in enumerate(ranked)}
        draws = torch.randint(size, (size, self.contestants), generator=noise.generator()).tolist()
        chosen = [min(draw, key=place.__getitem__) for draw in draws]
        for row in (row for row in ranked[: self.elites] if not math.isnan(fitness[row])):
            chosen[row] = row
        # Whoever drew only rows of unknown fitness stays; it must not displace a known individual.
        return [row if math.isnan(fitness[winner]) else winner for row, winner in enumerate(chosen)]
