"""A built-in plugin for tests: one component of every kind, with settings of every type."""

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from evoweights.catalog import Registrar, setting
from evoweights.hookspecs import hookimpl


class Mode(enum.Enum):
    FAST = 1
    EXACT = 2


@dataclass(frozen=True)
class Toy:
    """A task with settings of every type."""

    name: ClassVar[str] = "toy"
    source: ClassVar[str] = "nobody 2020"

    model: str = setting(doc="which model")
    layers: int = setting(2, "number of layers", unit="layers", minimum=1, maximum=8)
    ratio: float = setting(0.5, "a share", minimum=0.0, maximum=1.0)
    scale: float = setting(1.0, "without bounds")
    flag: bool = setting(False, "on or off")
    files: list[str] = setting([], "names of files")
    widths: tuple[int, ...] = setting((4, 4), "widths of layers", minimum=1)
    limit: int | None = setting(None, "null for none", minimum=1)
    kind: str = setting("red", "a colour", choices=("red", "green"))
    shape: Literal["round", "square"] = setting("round", "a shape")
    mode: Mode = setting(Mode.FAST, "how")
    folder: Path = setting(Path("here"), "where")
    weights: dict[str, float] = setting({}, "by name")
    learn: float | str = setting("auto", "a number or auto")


@dataclass(frozen=True)
class Pop:
    """A population."""

    name: ClassVar[str] = "pop"
    source: ClassVar[str] = "nobody 2020"

    size: int = setting(4, "individuals", minimum=1)


@dataclass(frozen=True)
class RoundRobin:
    """A turn."""

    name: ClassVar[str] = "round_robin"
    source: ClassVar[str] = "nobody 2020"

    count: int = setting(1, "individuals", minimum=1)


@dataclass(frozen=True)
class Step:
    """An improver."""

    name: ClassVar[str] = "step"
    source: ClassVar[str] = "nobody 2020"

    steps: int = setting(5, "steps in a turn", minimum=0, maximum=100)
    learning_rate: float = setting(1.0e-3, "step size", minimum=0.0)


@dataclass(frozen=True)
class Mix:
    """An operator."""

    name: ClassVar[str] = "mix"
    source: ClassVar[str] = "nobody 2020"

    rate: float = setting(0.5, "probability", unit="probability", minimum=0.0, maximum=1.0)


@dataclass(frozen=True)
class Band:
    """An operator whose settings depend on each other."""

    name: ClassVar[str] = "band"
    source: ClassVar[str] = "nobody 2020"

    low: float = setting(0.0, "lower end")
    high: float = setting(1.0, "upper end")

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ValueError(f"low is {self.low}, which is not below high, {self.high}.")


@dataclass(frozen=True)
class Best:
    """A selection."""

    name: ClassVar[str] = "best"
    source: ClassVar[str] = "nobody 2020"


@dataclass(frozen=True)
class Console:
    """An observer."""

    name: ClassVar[str] = "console"
    source: ClassVar[str] = "nobody 2020"

    quiet: bool = setting(False, "say less")

    @hookimpl
    def run_started(self) -> None:
        """Nothing."""


@dataclass(frozen=True)
class TensorBoard:
    """Another observer."""

    name: ClassVar[str] = "tensorboard"
    source: ClassVar[str] = "nobody 2020"

    @hookimpl
    def run_started(self) -> None:
        """Nothing."""


@hookimpl
def register(catalog: Registrar) -> None:
    catalog.add("task", Toy)
    catalog.add("population", Pop)
    catalog.add("turn", RoundRobin)
    catalog.add("improve", Step)
    catalog.add("operator", Mix)
    catalog.add("operator", Band)
    catalog.add("select", Best)
    catalog.add("observer", Console)
    catalog.add("observer", TensorBoard)
    values = {
        "generations": 9,
        "task": {"name": "toy", "model": "small", "layers": 3},
        "improve": [{"name": "step", "steps": 7}],
    }
    catalog.preset("small", values, doc="a small one", source="nobody 2020")
    broken = {**values, "improve": [{"name": "step", "steps": 101}]}
    catalog.preset("broken", broken, doc="a wrong one", source="nobody 2020")
