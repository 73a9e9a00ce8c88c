"""The selection of differential evolution: every trial meets its own parent."""

import math
from dataclasses import dataclass
from typing import ClassVar

from evoweights import setting
from evoweights.errors import UsageError


@dataclass(frozen=True)
class OneToOne:
    """A trial takes its parent's place if it is not worse; nobody else's. Of 2N rows the first N are parents.

    A fitness of NaN (unknown or failed) never wins. So no parent's fitness ever gets worse.
    """

    name: ClassVar[str] = "one_to_one"
    source: ClassVar[str] = "Storn and Price 1997, J. Global Optimization 11:341"

    ties: str = setting(
        "trial", "who wins between equals; trials keep a search moving on a plateau", choices=("trial", "parent")
    )

    def choose(self, fitness, noise):
        """Each row itself, but for parents whose trial is better.

        Raises:
            UsageError: the number of rows is odd.
        """
        del noise  # unused: nothing is drawn
        size, odd = divmod(len(fitness), 2)
        if odd:
            raise UsageError(f"select one_to_one: needs an even population.size, found {len(fitness)}.")
        return [self._winner(row, row + size, fitness) for row in range(size)] + list(range(size, 2 * size))

    def _winner(self, parent, trial, fitness):
        if math.isnan(fitness[trial]):
            return parent
        is_better = math.isnan(fitness[parent]) or fitness[trial] < fitness[parent]
        return trial if is_better or (self.ties == "trial" and fitness[trial] == fitness[parent]) else parent
