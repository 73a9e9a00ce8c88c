"""Selections and turns that break a rule of theirs, modelled on bugs that were published."""

import itertools
import math
import random
from dataclasses import dataclass, field
from typing import ClassVar

import torch

from evoweights.operators import Turn
from evoweights.traits import Traits
from evoweights_classic.selections import ranking


@dataclass(frozen=True)
class Selects:
    """The worst half becomes copies of the best, in ``choose``, to be broken."""

    name: ClassVar[str] = "broken_selection"
    source: ClassVar[str] = "a test"
    traits: ClassVar[Traits] = Traits(elitist=True, by_rank=True, equivariant=True)

    def ranked(self, fitness):
        return ranking(fitness)

    def choose(self, fitness, noise):
        ranked, chosen = self.ranked(fitness), list(range(len(fitness)))
        if not math.isnan(fitness[ranked[0]]):
            for row in ranked[(len(ranked) + 1) // 2 :]:
                chosen[row] = ranked[0]
        return chosen


class Sorts(Selects):
    """Sorts the losses it is given in place (PyGAD #25: an aliased array)."""

    def choose(self, fitness, noise):
        chosen = super().choose(fitness, noise)
        if isinstance(fitness, list):
            fitness.sort()
        return chosen


class Shuffles(Selects):
    """Breaks ties by Python's generator (nevergrad #4)."""

    def choose(self, fitness, noise):
        return [random.randrange(len(fitness)) if not math.isnan(each) else row for row, each in enumerate(fitness)]


class DrawsGlobally(Selects):
    """Draws a number from torch's generator and does not even use it."""

    def choose(self, fitness, noise):
        torch.rand(())
        return super().choose(fitness, noise)


class OneTooFew(Selects):
    """Leaves out the last row of an odd population."""

    def choose(self, fitness, noise):
        return super().choose(fitness, noise)[: len(fitness) // 2 * 2]


class Maximises(Selects):
    """Takes the highest loss for the best (evosax #72, LEAP #189)."""

    def ranked(self, fitness):
        return sorted(range(len(fitness)), key=lambda row: (math.isnan(fitness[row]), -fitness[row], row))


class NanFirst(Selects):
    """Python's min keeps a NaN that comes first (cmaes PR 34, evosax #55, pints PR 770)."""

    def choose(self, fitness, noise):
        best = min(range(len(fitness)), key=lambda row: fitness[row])
        return [best] * len(fitness)


class Crashes(Selects):
    """Leaves no one in place when nothing is known."""

    def choose(self, fitness, noise):
        return [0] * len(fitness) if all(map(math.isnan, fitness)) else super().choose(fitness, noise)


class Proportional(Selects):
    """Compares a loss with the mean, so that its size counts, claiming that only the order does (gplearn #78)."""

    def choose(self, fitness, noise):
        known = [each for each in fitness if math.isfinite(each)]
        if not known:
            return list(range(len(fitness)))
        mean, best = (
            sum(known) / len(known),
            min(range(len(fitness)), key=lambda row: (math.isnan(fitness[row]), fitness[row])),
        )
        return [best if each > mean else row for row, each in enumerate(fitness)]


class FirstRows(Selects):
    """The last row goes, whoever is in it."""

    def choose(self, fitness, noise):
        chosen, best = list(range(len(fitness))), ranking(fitness)[0]
        if not math.isnan(fitness[best]):
            chosen[-1] = best
        return chosen


SELECTIONS = (
    ("G02", Sorts()), ("G04", Shuffles()), ("G06", DrawsGlobally()), ("L02", OneTooFew()), ("L01", Maximises()),
    ("L04", NanFirst()), ("L04-unknown", Crashes()), ("S01", Proportional()), ("L03", FirstRows()),
)  # fmt: skip
"""The rule that must notice, and the selection."""


@dataclass(frozen=True)
class Turns:
    """One row after the other, to be broken."""

    name: ClassVar[str] = "broken_turn"
    source: ClassVar[str] = "a test"

    def choose(self, generation, size, noise):
        return Turn((generation % size,))


class OffTheEnd(Turns):
    """Counts from 1 (pymoo #641: a generation too many)."""

    def choose(self, generation, size, noise):
        return Turn((generation % size + 1,))


class Doubles(Turns):
    """Draws with replacement, and names a row twice."""

    def choose(self, generation, size, noise):
        return Turn(tuple(torch.randint(size, (size,), generator=noise.generator()).tolist()))


class HalfSteps(Turns):
    """Gives a number of steps that is not whole."""

    def choose(self, generation, size, noise):
        return Turn((0,), steps=size / 2)


@dataclass(frozen=True)
class Counts(Turns):
    """Counts its calls instead of looking at the generation: a resumed run has other turns (pymoo #574)."""

    calls: object = field(default_factory=itertools.count, compare=False, repr=False)

    def choose(self, generation, size, noise):
        return Turn((next(self.calls) % size,))


class Global(Turns):
    """Draws from Python's generator (optuna #4412)."""

    def choose(self, generation, size, noise):
        return Turn((random.randrange(1) + generation % size,)) if random.random() >= 0 else Turn(())


class Unnamed(Turns):
    """Cannot be registered: its name is no name."""

    name = "My Turn"


TURNS = (
    ("T01", OffTheEnd()), ("T01", Doubles()), ("T02", HalfSteps()), ("G04", Counts()), ("G06", Global()),
    ("G22", Unnamed()),
)  # fmt: skip
"""The rule that must notice, and the turn."""
