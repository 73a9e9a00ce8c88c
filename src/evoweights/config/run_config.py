"""The configuration of a run: the sections of the YAML file and what becomes of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from evoweights.catalog import Catalog, setting
from evoweights.errors import UsageError
from evoweights.plugins.loading import Hooks, Plugins

SINGLE = {"task": "task", "population": "population", "turn": "turn", "select": "select"}
"""Sections that hold one component, with its kind in the catalog."""

SEVERAL = {"improve": "improve", "vary": "operator", "observers": "observer", "controls": "control"}
"""Sections that hold a list of components."""

BY_NAME = ("controls",)
"""Those of them whose entries may be a name alone."""

DEFAULTS: Mapping[str, Any] = {
    "turn": {"name": "round_robin"},
    "improve": [],
    "vary": [],
    "select": {"name": "best"},
    "observers": [{"name": "console"}, {"name": "tensorboard"}],
    "controls": [],
}
"""What a configuration says without saying it."""

PATTERNS = {
    "name": (
        re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}"),
        "1 to 64 letters, digits, '.', '_' or '-', no '.' in front",
    ),
    "device": (re.compile(r"auto|cpu|cuda(:\d+)?"), "auto, cpu, cuda, or cuda:N such as cuda:1"),
}
"""The form of some settings, as a pattern and in words."""


@dataclass(frozen=True)
class RunSettings:
    """The single values at the top of a configuration."""

    name: str = setting(doc="name of the run and of its folder")
    generations: int = setting(doc="number of generations", minimum=1, maximum=10_000_000)
    seed: int = setting(42, "every random number of the run follows from it", minimum=0, maximum=2**64 - 1)
    output: str = setting("runs", "folder of all runs, relative to where the command is given")
    device: str = setting("auto", "where individuals train: auto, cpu, cuda or cuda:N")
    backend: str = setting(
        "auto",
        "what the operators run on; any but auto runs or says why it cannot",
        choices=("auto", "cpu", "triton", "cuda", "reference"),
    )
    optimizer_state: str = setting(
        "keep",
        "what happens to an individual's optimizer moments when an operator rewrites its weights",
        choices=("keep", "reset", "copy"),
    )
    credit: bool = setting(
        True, "measure on one batch what every operator does to the loss of whom it rewrites; slows the vary phase"
    )
    preset: str | None = setting(None, "a named partial configuration that this one is put over")
    plugins: list[str] = setting([], "plugins to load: names, names with versions, or .py files next to this file")


@dataclass(frozen=True)
class Evaluation:
    """When individuals are measured."""

    every: int = setting(1, "evaluate and select in every n-th generation", unit="generations", minimum=1)


@dataclass(frozen=True)
class Checkpointing:
    """When the run is saved, and how much of that is kept."""

    every_generations: int = setting(5, "save in every n-th generation", unit="generations", minimum=1)
    every_seconds: float = setting(300.0, "save when the last checkpoint is as old as this", unit="seconds", minimum=0)
    keep: int = setting(2, "number of checkpoints that are kept", minimum=2)


GROUPS: Mapping[str, type] = {"evaluate": Evaluation, "checkpoint": Checkpointing}
"""Sections of settings that are no component."""

ORDER = (
    *(each.name for each in fields(RunSettings)),
    *("task", "population", "turn", "improve", "vary", "select", "evaluate", "checkpoint", "observers", "controls"),
)
"""Every key at the top of a configuration, in the order in which it is written."""


@dataclass(frozen=True)
class Phase:
    """In which generations an entry is active."""

    every: int = setting(1, "active in every n-th generation", unit="generations", minimum=1)
    start: int = setting(0, "first generation, counted from 0", minimum=0)
    stop: int | None = setting(None, "generation before which it ends; null for the end of the run", minimum=1)

    def __post_init__(self) -> None:
        if self.stop is not None and self.stop <= self.start:
            raise UsageError(f"stop is {self.stop}, but start is {self.start}: the entry would never be active.")


@dataclass(frozen=True)
class Scheduled:
    """A component of ``improve`` or ``vary`` with its phase; ``label`` is its place and name: ``1-crossover``."""

    component: Any
    label: str
    phase: Phase

    def is_active(self, generation: int) -> bool:
        """Whether it acts in ``generation``, counted from 0."""
        phase = self.phase
        started = generation >= phase.start and (phase.stop is None or generation < phase.stop)
        return started and (generation - phase.start) % phase.every == 0


@dataclass(frozen=True)
class RunConfig:
    """A checked configuration. ``text`` is the YAML that a run keeps: complete but for ``output``, which is a matter of
    place, and with interpolations unresolved."""

    name: str
    generations: int
    seed: int
    output: Path
    device: str
    backend: str
    optimizer_state: str
    credit: bool
    preset: str | None
    task: Any
    population: Any
    turn: Any
    improve: tuple[Scheduled, ...]
    vary: tuple[Scheduled, ...]
    select: Any
    evaluate: Evaluation
    checkpoint: Checkpointing
    observers: tuple[Any, ...]
    controls: tuple[Any, ...]
    text: str
    overrides: tuple[str, ...]
    plugins: Plugins
    hooks: Hooks

    @property
    def catalog(self) -> Catalog:
        """The components that the run could use."""
        return self.plugins.catalog
