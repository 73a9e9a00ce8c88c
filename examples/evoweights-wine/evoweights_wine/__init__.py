"""A tabular task for evoweights: telling three kinds of wine apart by thirteen measurements."""

from dataclasses import dataclass
from typing import ClassVar

from evoweights import hookimpl, setting
from evoweights.errors import UsageError

EVOWEIGHTS_API = "1.0"


@dataclass(frozen=True)
class Wine:
    """Tells three kinds of wine apart by thirteen measurements, with a perceptron of one hidden layer.

    The 178 rows are divided, kind by kind, into those to train on, those that fitness is measured on, and those that nobody sees
    before the run is over. A genetic algorithm learns from its fitness alone, so the second part is the largest.
    """

    name: ClassVar[str] = "wine"
    source: ClassVar[str] = (
        "Aeberhard and Forina 1992, UCI Machine Learning Repository, doi 10.24432/C5PC7J (data: wine)"
    )

    hidden: int = setting(8, "width of the hidden layer", minimum=1)
    batch: int = setting(16, "rows in a training batch, drawn with replacement", unit="rows", minimum=1)
    fitness_share: float = setting(
        0.6, "of the rows that fitness is measured on", unit="fraction", minimum=0.05, maximum=0.9
    )
    test_share: float = setting(0.25, "of the rows that nobody sees", unit="fraction", minimum=0.05, maximum=0.9)

    def open(self, place):
        """The task with its table divided.

        Raises:
            UsageError: the shares leave nothing to train on.
        """
        if self.fitness_share + self.test_share > 0.95 + 1e-9:
            raise UsageError(
                f"task.fitness_share and task.test_share: {self.fitness_share} and {self.test_share} leave less than 0.05 of the "
                "rows to train on. Lower one of them."
            )
        from evoweights_wine.task import WineTask

        return WineTask(self, place)


@hookimpl
def register(catalog):
    """Offer the task."""
    catalog.add("task", Wine)
