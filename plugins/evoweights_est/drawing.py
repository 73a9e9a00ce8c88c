"""Which heads, neurons and layers a step computes with: a function of the run's seed, the individual and the step.

Sizes are fixed, members are drawn without replacement. Nothing is remembered from one draw to the next.
"""

import math
from collections.abc import Sequence
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


def kept_heads(share: float, key_values: int, each: int) -> tuple[int, int]:
    """How many query heads and key-value heads a share keeps, where every one of ``key_values`` has ``each`` query heads:
    equally many of every one if that comes out even, else all those of some."""
    queries = kept(share, key_values * each)
    if queries % key_values == 0:
        return queries, key_values
    groups = kept(share, key_values)
    return groups * each, groups


@dataclass(frozen=True, eq=False)
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

    def neurons(self, counts: Sequence[int], share: float) -> list[Tensor]:
        """A share of the neurons of every layer, ascending; ``counts`` are how many each has."""
        return [
            self._some(found[None], kept(share, count))[0]
            for found, count in zip(self._words("neurons", counts), counts, strict=True)
        ]

    def heads(self, layers: Sequence[tuple[int, int]], share: float) -> list[Heads]:
        """A share of the heads of every layer (:func:`kept_heads`); ``layers`` are how many key-value heads each has, and how
        many query heads these have each."""
        found = self._words("heads", [key_values * each for key_values, each in layers])
        return [self._heads(*layer, share, drawn) for layer, drawn in zip(layers, found, strict=True)]

    def _heads(self, key_values: int, each: int, share: float, drawn: Tensor) -> Heads:
        queries, size = kept_heads(share, key_values, each)
        if size < key_values:
            groups = self._some(drawn[None, :key_values], size)[0]
            within = torch.arange(each).expand(len(groups), -1)
        else:
            groups = torch.arange(key_values)
            within = self._some(drawn.view(key_values, each), queries // key_values)
        return Heads((groups[:, None] * each + within).flatten(), groups)

    def layers(self, count: int, share: float, *, protect_ends: bool) -> Tensor:
        """The layers that are in, ascending: always drawn at random, because a layer that is skipped costs nothing."""
        size = kept(share, count)
        drawn = _words(self.place.at("draw", self.number), "layers", [count])[0]
        if protect_ends:
            size = max(size, min(ENDS, count))
            drawn[[0, -1]] = -1
        return _smallest(drawn[None], size)[0]

    def _words(self, label: str, counts: Sequence[int]) -> list[Tensor]:
        place = self.place if self.sampling == "window" else self.place.at("draw", self.number)
        return _words(place, label, counts)

    def _some(self, drawn: Tensor, size: int) -> Tensor:
        """``size`` places of every row of random words, ascending: ``[rows, size]``."""
        count = drawn.shape[1]
        if size == count:
            return torch.arange(count).expand_as(drawn)
        if self.sampling == "window":
            return ((torch.arange(size) + drawn[:, :1] + self.number * size) % count).sort(1).values
        return _smallest(drawn, size)


def _words(place: Noise, label: str, counts: Sequence[int]) -> list[Tensor]:
    """For every layer so many random 32-bit words, its number in the upper half of the counter: all in one pass."""
    lanes = [-(-count // 4) for count in counts]
    numbers = torch.cat([torch.arange(each) + (layer << 32) for layer, each in enumerate(lanes)])
    found = words(place.seed, place.stream(label), numbers).T.split(lanes)
    return [each.flatten()[:count] for each, count in zip(found, counts, strict=True)]


def _smallest(values: Tensor, size: int) -> Tensor:
    """Where in each row the ``size`` smallest values are, ascending; of equal ones the first."""
    return values.argsort(dim=1, stable=True)[:, :size].sort(1).values
