"""The selection of differential evolution: every trial meets its own parent."""

import math
from dataclasses import dataclass
from typing import ClassVar

from evoweights import Traits, setting


@dataclass(frozen=True)
class OneToOne:
    """A trial takes its parent's place if it is not worse; nobody else's. Of 2N rows the first N are parents.

    A fitness of NaN (unknown or failed) never wins. So no parent's fitness ever gets worse. Of an odd number of rows the last
    one is neither parent nor trial, and stays.
    """

    name: ClassVar[str] = "one_to_one"
    source: ClassVar[str] = "Storn and Price 1997, J. Global Optimization 11:341"
    # Not equivariant: which rows meet is decided by where they are.
    traits: ClassVar[Traits] = Traits(elitist=True, by_rank=True)

    ties: str = setting(
        "trial", "who wins between equals; trials keep a search moving on a plateau", choices=("trial", "parent")
    )

    def choose(self, fitness, noise):
        """Each row itself, but for parents whose trial is better."""
        del noise  # unused: nothing is drawn
        size = len(fitness) // 2
        return [self._winner(row, row + size, fitness) for row in range(size)] + list(range(size, len(fitness)))

    def _winner(self, parent, trial, fitness):
        if math.isnan(fitness[trial]):
            return parent
        is_better = math.isnan(fitness[parent]) or fitness[trial] < fitness[parent]
        return trial if is_better or (self.ties == "trial" and fitness[trial] == fitness[parent]) else parent
