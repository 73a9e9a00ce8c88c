"""A built-in plugin for tests: one component of every kind, two kinds of its own, and settings of every type."""

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from evoweights.catalog import Registrar, part, setting
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
class Shaping:
    """What components of the kind have in common."""

    source: ClassVar[str] = "nobody 2020"


@dataclass(frozen=True)
class Rank(Shaping):
    """A shaping."""

    name: ClassVar[str] = "rank"

    scale: float = setting(1.0, "height", minimum=0.0)


@dataclass(frozen=True)
class Score(Shaping):
    """Another shaping."""

    name: ClassVar[str] = "score"

    clip: float = setting(3.0, "most", minimum=0.0)


@dataclass(frozen=True)
class Blend(Shaping):
    """A shaping made of two others."""

    name: ClassVar[str] = "blend"

    first: Shaping = part("shaping", Score, "one")
    second: Shaping = part("shaping", lambda: Rank(scale=2.0), "the other")
    share: float = setting(0.5, "of the first", minimum=0.0, maximum=1.0)

    def __post_init__(self) -> None:
        if self.first == self.second:
            raise ValueError("first and second are the same.")


@dataclass(frozen=True)
class Dense:
    """A noise without settings."""

    name: ClassVar[str] = "dense"
    source: ClassVar[str] = "nobody 2020"


@dataclass(frozen=True)
class LowRank:
    """A noise that needs to be told its rank."""

    name: ClassVar[str] = "low_rank"
    source: ClassVar[str] = "nobody 2020"

    rank: int = setting(doc="rank", minimum=1)


@dataclass(frozen=True)
class Climb:
    """An improver made of parts."""

    name: ClassVar[str] = "climb"
    source: ClassVar[str] = "nobody 2020"

    sigma: float = setting(0.1, "step", minimum=0.0)
    shaping: Shaping = part("shaping", Rank, "from losses to weights")
    noise: Dense | LowRank = part("noise", Dense, "directions")


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
    catalog.kind("shaping", "how losses become weights")
    catalog.kind("noise", "where directions come from")
    for each in (Rank, Score, Blend):
        catalog.add("shaping", each)
    catalog.add("noise", Dense)
    catalog.add("noise", LowRank)
    catalog.add("improve", Climb)
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
        "task": {"name": "toy", "model": "small", "layers": 3, "weights": {"a": 1.0}, "files": ["y"]},
        "improve": [{"name": "step", "steps": 7}],
    }
    catalog.preset("small", values, doc="a small one", source="nobody 2020")
    broken = {**values, "improve": [{"name": "step", "steps": 101}]}
    catalog.preset("broken", broken, doc="a wrong one", source="nobody 2020")
    blend = {"name": "blend", "first": {"name": "score", "clip": 7.0}, "second": "score", "share": 0.25}
    climber = {"improve": [{"name": "climb", "sigma": 0.5, "every": 2, "shaping": blend, "noise": "dense"}]}
    catalog.preset("climber", climber, doc="one with parts", source="nobody 2020")
    unnamed = {
        "improve": [{"name": "climb", "shaping": {"scale": 4.0}}, {"name": "climb", "shaping": {"name": "score"}}]
    }
    catalog.preset("two_climbers", unnamed, doc="one that leaves out a name", source="nobody 2020")
