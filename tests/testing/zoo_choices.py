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


@dataclass(frozen=True)
class Remembers(Selects):
    """Keeps the losses it has seen in itself, so that a resumed run knows of others (pymoo #558: resumed results differ)."""

    seen: list = field(default_factory=list, compare=False)

    def choose(self, fitness, noise):
        self.seen.append(min(fitness))
        return super().choose(fitness, noise)


class Shuffles(Selects):
    """Breaks ties by Python's generator (nevergrad #4: not reproducible from a seed)."""

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


class FromOne(Selects):
    """Counts its rows from 1 (pymoo #641: a generation too many)."""

    def choose(self, fitness, noise):
        return [row + 1 for row in super().choose(fitness, noise)]


class Maximises(Selects):
    """Takes the highest loss for the best (evosax #72, LEAP #189: min and max confused)."""

    def ranked(self, fitness):
        return sorted(range(len(fitness)), key=lambda row: (math.isnan(fitness[row]), -fitness[row], row))


class NanFirst(Selects):
    """Python's min keeps a NaN that comes first (cmaes PR 34, evosax #55, pints PR 770: NaN)."""

    def choose(self, fitness, noise):
        best = min(range(len(fitness)), key=lambda row: fitness[row])
        return [best] * len(fitness)


class Crashes(Selects):
    """Leaves no one in place when nothing is known."""

    def choose(self, fitness, noise):
        return [0] * len(fitness) if all(map(math.isnan, fitness)) else super().choose(fitness, noise)


class Proportional(Selects):
    """Compares a loss with the mean, so that its size counts, claiming that only the order does."""

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


@dataclass(frozen=True)
class Tournaments(Selects):
    """Sound: tournaments, and elites that stay."""

    traits: ClassVar[Traits] = Traits(by_rank=True, equivariant=True, elites="elites", contestants="contestants")
    contestants: int = 2
    elites: int = 1

    def drawn(self, size, generator):
        return torch.randint(size, (self.contestants,), generator=generator).tolist()

    def choose(self, fitness, noise):
        generator, ranked = noise.generator(), ranking(fitness)
        chosen = [min(self.drawn(len(fitness), generator), key=ranked.index) for _ in fitness]
        chosen = [row if math.isnan(fitness[winner]) else winner for row, winner in enumerate(chosen)]
        for row in (row for row in ranked[: self.elites] if not math.isnan(fitness[row])):
            chosen[row] = row
        return chosen


class ElitesLeave(Tournaments):
    """Puts its elites into the first rows, over whoever is there (PyGAD #291: the best solution is lost)."""

    def choose(self, fitness, noise):
        chosen, ranked = super().choose(fitness, noise), ranking(fitness)
        known = [row for row in ranked[: self.elites] if not math.isnan(fitness[row])]
        chosen[: len(known)] = reversed(known)
        return chosen


class NoReplacement(Tournaments):
    """Draws its contestants without replacement, so that the worst never wins against others."""

    def drawn(self, size, generator):
        return torch.randperm(size, generator=generator)[: self.contestants].tolist()


@dataclass(frozen=True)
class Truncates(Selects):
    """Sound: the worst share becomes copies of the best one."""

    traits: ClassVar[Traits] = Traits(elitist=True, by_rank=True, equivariant=True, replaced="share")
    share: float = 0.25

    def parents(self, ranked, count):
        return ranked[:count]

    def choose(self, fitness, noise):
        ranked, chosen, count = ranking(fitness), list(range(len(fitness))), int(self.share * len(fitness))
        parents = [row for row in self.parents(ranked, count) if not math.isnan(fitness[row])]
        for place, row in enumerate(ranked[len(ranked) - count :] if parents else []):
            chosen[row] = parents[place % len(parents)]
        return chosen


class ExploitsAnyone(Truncates):
    """Copies from those in the middle, and not from the best."""

    def parents(self, ranked, count):
        return ranked[count : len(ranked) - count] or ranked[:count]


class Nobody(Selects):
    """Cannot be registered: nobody says where it is from."""

    source = ""


SELECTIONS = (
    ("G02", Sorts(), "the losses changed"),
    ("G02", Remembers(), "its settings changed"),
    ("G04", Shuffles(), "the second time it chose others"),
    ("G06", DrawsGlobally(), "not left as it was: torch's generator"),
    ("G22", Nobody(), "needs a class attribute `source`"),
    ("L01", Maximises(), "-inf is lost: ["),
    ("L01-elites", ElitesLeave(), "is among the 2 best and goes"),
    ("L02", OneTooFew(), "0 rows for a population of 1"),
    ("L02", FromOne(), "rows that do not exist: [1]"),
    ("L03", FirstRows(), "(4.0, 4.0) depends on the rows"),
    ("L04", NanFirst(), "row 1 is given row 0, whose loss is NaN"),
    ("L04-unknown", Crashes(), "no loss is known, and someone is replaced: [0, 0"),
    ("L05", NoReplacement(), "of 2 contestants, rank 5 wins 0 of 1800"),
    ("L07", ExploitsAnyone(), "with a share of 0.25, row 5 of ["),
    ("S01", Proportional(), "the size of the losses counts"),
)
"""The rule that must notice, the selection, and words of what the author is told."""


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


class NobodyYet(Turns):
    """Lets nobody act in the first generation."""

    def choose(self, generation, size, noise):
        return Turn(tuple(range(min(generation, size))))


class Rows(Turns):
    """Gives the rows and not a turn of them."""

    def choose(self, generation, size, noise):
        return (generation % size,)


class VariesByNumber(Turns):
    """Says by a number how often operators act, where the question is whether they do."""

    def choose(self, generation, size, noise):
        return Turn((0,), varies=1)


class HalfSteps(Turns):
    """Gives a number of steps that is not whole."""

    def choose(self, generation, size, noise):
        return Turn((0,), steps=size / 2)


@dataclass(frozen=True)
class Counts(Turns):
    """Counts its calls instead of looking at the generation: a resumed run has other turns (pymoo #574: an old checkpoint)."""

    calls: object = field(default_factory=itertools.count, compare=False, repr=False)

    def choose(self, generation, size, noise):
        return Turn((next(self.calls) % size,))


class Global(Turns):
    """Draws from Python's generator (optuna #4412: not reproducible from a seed)."""

    def choose(self, generation, size, noise):
        return Turn((random.randrange(1) + generation % size,)) if random.random() >= 0 else Turn(())


@dataclass(frozen=True)
class Strides(Turns):
    """Every so many rows, to be broken."""

    stride: int = 1

    def choose(self, generation, size, noise):
        return Turn((generation * self.stride % size,))


class Changeable(Strides):
    """Lets its settings be changed while a run goes on, of which no checkpoint tells."""

    def __setattr__(self, name, value):
        object.__setattr__(self, name, value)


class Unnamed(Turns):
    """Cannot be registered: its name is no name."""

    name = "My Turn"


TURNS = (
    ("G04", Counts(), "the second time it chose otherwise"),
    ("G06", Global(), "not left as it was: Python's generator"),
    ("G22", Unnamed(), "needs a class attribute `name` like 'my_operator', found 'My Turn'"),
    ("G22", Changeable(), "its settings can be changed after it was made"),
    ("T01", OffTheEnd(), "rows that do not exist: (1,) of 1"),
    ("T01", Doubles(), "a row is named twice: ("),
    ("T01", NobodyYet(), "the rows are no tuple that has one: ()"),
    ("T02", HalfSteps(), "steps is 0.5, neither None nor a whole number from 0"),
    ("T02", Rows(), "choose gave tuple, no Turn"),
    ("T02", VariesByNumber(), "varies is 1, neither True nor False"),
)
"""The rule that must notice, the turn, and words of what the author is told."""

SOUND_SELECTIONS = (Selects(), Tournaments(), Truncates())
SOUND_TURNS = (Turns(),)
