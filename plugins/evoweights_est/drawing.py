"""Which heads, neurons and layers a step computes with: a function of the run's seed, the individual and the step.

Sizes are fixed, members are drawn without replacement. Nothing is remembered from one draw to the next.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from evoweights.seeds import Noise
from evoweights_kernels import words

ENDS = 2
"""Layers that are always in where the first and the last are protected."""


def kept(share: float, count: int) -> int:
    """How many of ``count`` a share keeps: to the nearest whole number, halves up, and at least one."""
    return min(count, max(1, math.floor(share * count + 0.5)))


@dataclass(frozen=True)
class Heads:
    """The attention heads of a layer that are computed: numbers of query heads and of key-value heads, each ascending."""

    queries: Tensor
    key_values: Tensor


@dataclass(frozen=True)
class Draw:
    """One draw of an individual.

    ``place`` is the noise of the individual, the same for the whole run, and ``number`` counts its draws from 0.
    ``sampling`` is ``random``, or ``window``: neighbours on a ring, from a random start on and in each draw those after
    the window before, so that in the long run each is in as often as any other.
    """

    place: Noise
    number: int
    sampling: str

    def among(self, label: str, count: int, size: int) -> Tensor:
        """``size`` of the numbers below ``count``, ascending; ``label`` says what they number."""
        if size == count:
            return torch.arange(count)
        if self.sampling == "window":
            start = int(_words(self.place, f"{label}/start", 1)) + self.number * size
            return ((torch.arange(size) + start) % count).sort().values
        return _smallest(_words(self.place.at("draw", self.number), label, count), size)

    def layers(self, count: int, share: float, *, protect_ends: bool) -> Tensor:
        """The layers that are in, ascending: always drawn at random, because a layer that is skipped costs nothing."""
        size = kept(share, count)
        drawn = _words(self.place.at("draw", self.number), "layers", count)
        if protect_ends:
            size = max(size, min(ENDS, count))
            drawn[[0, -1]] = -1
        return _smallest(drawn, size)

    def heads(self, label: str, key_values: int, queries_each: int, share: float) -> Heads:
        """A share of the query heads: equally many of every key-value head if that comes out even, else all those of some
        key-value heads."""
        wanted = kept(share, key_values * queries_each)
        if wanted % key_values:
            groups = self.among(f"{label}/heads", key_values, kept(share, key_values))
            each = torch.arange(queries_each).expand(len(groups), -1)
        else:
            groups, size = torch.arange(key_values), wanted // key_values
            each = torch.stack([self.among(f"{label}/heads of {g}", queries_each, size) for g in range(key_values)])
        return Heads((groups[:, None] * queries_each + each).flatten(), groups)


def _words(place: Noise, label: str, count: int) -> Tensor:
    """``count`` random 32-bit words."""
    return words(place.seed, place.stream(label), torch.arange(-(-count // 4))).T.flatten()[:count]


def _smallest(values: Tensor, size: int) -> Tensor:
    """Where the ``size`` smallest values are, ascending; of equal ones the first."""
    return values.argsort(stable=True)[:size].sort().values
