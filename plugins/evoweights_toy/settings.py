"""The settings of the toy tasks; importing them imports no torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from evoweights.catalog import setting
from evoweights.errors import UsageError

if TYPE_CHECKING:
    from evoweights.task import Task, TaskPlace


@dataclass(frozen=True)
class Function:
    """Minimises a classic test function whose optimum is 0; the genome is the point itself."""

    name: ClassVar[str] = "function"
    source: ClassVar[str] = (
        "De Jong 1975 (sphere); Rosenbrock 1960; Rastrigin 1974, Muehlenbein, Schomisch and Born 1991"
    )

    function: str = setting("sphere", "what is minimised", choices=("sphere", "rosenbrock", "rastrigin"))
    dimension: int = setting(16, "coordinates of a point", minimum=2)
    gradient_noise: float = setting(
        0.0, "standard deviation of the noise of every batch on each coordinate of the gradient", minimum=0.0
    )

    def open(self, place: "TaskPlace") -> "Task":
        """The task; there is no data to read."""
        from evoweights_toy.function import FunctionTask

        return FunctionTask(self, place)


@dataclass(frozen=True)
class Digits:
    """Reads drawn digits of 8 x 8 pixels with a small network; the images are rendered, not downloaded."""

    name: ClassVar[str] = "digits"
    source: ClassVar[str] = "evoweights"

    hidden: list[int] = setting([32, 32], "width of every hidden layer")
    batch: int = setting(64, "images in a training batch", minimum=2)
    train_images: int = setting(4096, "images to train on", minimum=10)
    validation_images: int = setting(512, "images that are only evaluated", minimum=10)
    noise: float = setting(
        0.25,
        "standard deviation of the noise on every pixel; a stroke is 0.6 to 1",
        minimum=0.01,
        maximum=10.0,
    )
    batch_norm: bool = setting(
        False,
        "normalise every hidden layer by the batch: adds buffers to an individual, needs float32 genomes",
    )
    tie_hidden: bool = setting(False, "one weight matrix for all layers between hidden layers")

    def open(self, place: "TaskPlace") -> "Task":
        """The task with its images rendered.

        Raises:
            UsageError: hidden layers that cannot be built or tied.
        """
        if any(width < 1 for width in self.hidden):
            raise UsageError(f"task.hidden: every width must be at least 1, found {list(self.hidden)}.")
        if self.tie_hidden and (len(self.hidden) < 3 or len(set(self.hidden)) > 1):
            raise UsageError(
                "task.tie_hidden: needs at least three hidden layers of one width, found "
                f"{list(self.hidden)}; set task.hidden to, say, [32, 32, 32], or task.tie_hidden to false."
            )
        from evoweights_toy.digits import DigitsTask

        return DigitsTask(self, place)
