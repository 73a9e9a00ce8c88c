"""Shaping: how the fitness of members becomes the weights of their noise.

Everything is float64 and a function of the fitness alone. Fitness is the negative loss: higher is better. A fitness that is
NaN or infinite counts as the worst finite one; a member that fails on one item counts as the worst on every item. If all are
equal, every weight is exactly 0: a standard deviation of rounding errors is no signal.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from evoweights.catalog import setting
from evoweights_es.member import Member

if TYPE_CHECKING:
    from torch import Tensor

EPSILON = 1.0e-8
"""Added to standard deviations, as published."""


@dataclass(frozen=True)
class Shaping(ABC):
    """A component of kind ``shaping``."""

    name: ClassVar[str]
    source: ClassVar[str]

    needs_items: ClassVar[bool] = False
    """Whether the weights follow from the items' fitness only, not from the members'."""

    @abstractmethod
    def shape(self, fitness: "Tensor", items: "Tensor", members: Sequence[Member]) -> "Tensor":
        """Weights ``[N]`` from fitness ``[N]`` and ``[N, items]``, all finite and not all equal."""

    def weights(self, items: "Tensor", members: Sequence[Member]) -> "Tensor":
        """Weights, float64 ``[N]``, from the fitness of every member's items, ``[N, items]``; at least one member is finite."""
        import torch

        fitness = items.mean(1)
        items = worst_for_missing(torch.where(torch.isfinite(fitness)[:, None], items, torch.nan))
        fitness = worst_for_missing(fitness)
        if bool((fitness == fitness[0]).all()) and (not self.needs_items or bool((items == items[:1]).all())):
            return torch.zeros_like(fitness)
        return self.shape(fitness, items, members)


def worst_for_missing(fitness: "Tensor") -> "Tensor":
    """Fitness with the lowest finite value of its column where it is NaN or infinite; 0 where a column has none."""
    import torch

    finite = torch.isfinite(fitness)
    worst = torch.where(finite, fitness, torch.inf).amin(0, keepdim=True)
    return torch.where(finite, fitness, torch.where(torch.isfinite(worst), worst, 0.0))


def mean_ranks(values: "Tensor") -> "Tensor":
    """Ranks from 0, float64 ``[N]``; equal values share the mean of their ranks."""
    import torch

    _, group, sizes = torch.unique(values, sorted=True, return_inverse=True, return_counts=True)
    ends = sizes.cumsum(0).double()
    return (ends - (sizes.double() + 1) / 2)[group]


@dataclass(frozen=True)
class Raw(Shaping):
    """The fitness itself; of use where members come in pairs, whose difference counts."""

    name: ClassVar[str] = "raw"
    source: ClassVar[str] = "Malladi et al. 2023, MeZO, arXiv 2305.17333"

    def shape(self, fitness: "Tensor", items: "Tensor", members: Sequence[Member]) -> "Tensor":
        """``w = r``."""
        del items, members  # unused: each member by itself
        return fitness


@dataclass(frozen=True)
class ZScore(Shaping):
    """Fitness less its mean, in standard deviations: steps do not depend on the scale of fitness and sigma."""

    name: ClassVar[str] = "z_score"
    source: ClassVar[str] = "EA4LLM, arXiv 2510.10603; Qiu et al. 2025, arXiv 2509.24372"

    def shape(self, fitness: "Tensor", items: "Tensor", members: Sequence[Member]) -> "Tensor":
        """``w = (r - mean) / (sd + 1e-8)``, sd of the population."""
        del items, members  # unused: members are compared as a whole
        centred = fitness - fitness.mean()
        return centred / (centred.square().mean().sqrt() + EPSILON)


@dataclass(frozen=True)
class CentredRank(Shaping):
    """Ranks from -bound to bound, ties shared: nothing but the order of members counts."""

    name: ClassVar[str] = "centred_rank"
    source: ClassVar[str] = "Wierstra et al. 2014, Natural Evolution Strategies; Salimans et al. 2017, arXiv 1703.03864"

    bound: float = setting(1.0, "weight of the best, and less that of the worst; OpenAI ES has 0.5", minimum=1e-6)

    def shape(self, fitness: "Tensor", items: "Tensor", members: Sequence[Member]) -> "Tensor":
        """``w = bound (2 rank / (N - 1) - 1)``."""
        del items, members  # unused: members are compared as a whole
        return self.bound * (2 * mean_ranks(fitness) / (len(fitness) - 1) - 1)


@dataclass(frozen=True)
class Group(Shaping):
    """Each item's fitness less its mean over members, in standard deviations of all: hard items do not drown easy ones."""

    name: ClassVar[str] = "group"
    source: ClassVar[str] = "Sarkar et al. 2025, EGGROLL, arXiv 2511.16652"
    needs_items: ClassVar[bool] = True

    def shape(self, fitness: "Tensor", items: "Tensor", members: Sequence[Member]) -> "Tensor":
        """``w = mean over items of (r - mean over members) / (sd + 1e-8)``."""
        del fitness, members  # unused: items are compared one by one
        centred = items - items.mean(0)
        return centred.mean(1) / (centred.square().mean().sqrt() + EPSILON)


@dataclass(frozen=True)
class Sign(Shaping):
    """1 for the better and -1 for the worse of a pair; without pairs, of those above and below the mean."""

    name: ClassVar[str] = "sign"
    source: ClassVar[str] = "Sarkar et al. 2025, EGGROLL, arXiv 2511.16652 (its integer variant)"

    def shape(self, fitness: "Tensor", items: "Tensor", members: Sequence[Member]) -> "Tensor":
        """``w = sign(r - mean of those of its direction)``; of all if no direction has two members."""
        import torch

        del items  # unused: members are compared as a whole
        direction = torch.tensor([each.direction for each in members])
        sizes = torch.bincount(direction)
        means = torch.zeros(len(sizes), dtype=torch.float64).index_add_(0, direction, fitness) / sizes.clamp(min=1)
        has_pairs = bool((sizes[direction] > 1).any())
        return torch.sign(fitness - (means[direction] if has_pairs else fitness.mean()))


@dataclass(frozen=True)
class LeaveOneOut(Shaping):
    """Fitness less the mean of all others: an estimate without bias, and half the error of pairs for as many evaluations."""

    name: ClassVar[str] = "leave_one_out"
    source: ClassVar[str] = "LOO-ROLL (EGGROLL-Unrolled), arXiv 2609.10980"

    def shape(self, fitness: "Tensor", items: "Tensor", members: Sequence[Member]) -> "Tensor":
        """``w_j = r_j - mean of r_k, k != j = N / (N - 1) (r_j - mean)``."""
        del items, members  # unused: members are compared as a whole
        return (fitness - fitness.mean()) * (len(fitness) / (len(fitness) - 1))
