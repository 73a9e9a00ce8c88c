"""Losses of individuals while operators rewrite them, so that each operator gets the credit for its change."""

import time
from dataclasses import dataclass, field

from evoweights.contract import calling
from evoweights.ledger.costs import plus
from evoweights.mounted import Mounted
from evoweights.population import Population
from evoweights.progress import Progress
from evoweights.task import Task


@dataclass
class RowLosses:
    """Mean losses of rows on training batch 0, for one vary phase; ``seconds`` are the time that took."""

    population: Population
    mounted: Mounted
    task: Task
    progress: Progress
    seconds: float = 0.0
    _known: dict[int, float] = field(default_factory=dict)

    def before(self, row: int) -> float:
        """The loss of a row that nothing but operators has written since it was last measured here."""
        return self._known[row] if row in self._known else self.after(row)

    def after(self, row: int) -> float:
        """The loss of a row as it is now."""
        started = time.perf_counter()
        self.mounted.show(self.population, row)
        module = self.mounted.module
        with calling(
            f"{type(self.task).__name__}: score individual {row} to credit operators (`credit: false` does not)"
        ):
            loss = float(self.task.scores(module, self.task.batch(0)).double().mean())
            flops = self.task.flops(module)
        self.progress.credit_flops = plus(self.progress.credit_flops, flops)
        self._known[row] = loss
        self.seconds += time.perf_counter() - started
        return loss
