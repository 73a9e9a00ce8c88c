"""A plain population: N whole models that share nothing."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from evoweights.catalog import setting
from evoweights.seeds import Noise, seeded

if TYPE_CHECKING:
    from evoweights.mounted import Blueprint
    from evoweights.task import Task


@dataclass(frozen=True)
class Individuals:
    """N independent individuals, each a whole model of the task."""

    name: ClassVar[str] = "individuals"
    source: ClassVar[str] = "evoweights"

    size: int = setting(4, "individuals", unit="individuals", minimum=1)
    home: str = setting(
        "auto",
        "where those that are not mounted live; auto: on the accelerator if they take at most half of its free memory, else "
        "in host memory",
        choices=("auto", "device", "host", "disk"),
    )
    initial: str = setting(
        "different", "first weights: different for each individual, or the same for all", choices=("different", "same")
    )

    def blueprint(self, task: "Task", noise: Noise) -> "Blueprint":
        """Individuals that share no weight."""
        from evoweights.mounted import Blueprint

        with seeded(noise.at("individual", 0)):
            module = task.build()

        def initialise(row: int) -> None:
            if row > 0 and self.initial == "different":
                fresh = dict(task.build().state_dict())
                for name, tensor in module.state_dict(keep_vars=True).items():
                    tensor.data.copy_(fresh[name])

        return Blueprint(module, self.size, initialise=initialise, is_shared=lambda name: False, home=self.home)
