"""A run that is opened, dropped without warning, and opened again, in one process."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from evoweights.config.run_config import RunConfig
from evoweights.engine import Engine
from evoweights.operators import Turn, TurnRule
from evoweights.runs.session import open_engine
from evoweights.runs.stopping import StopRequest
from evoweights.seeds import Noise
from evoweights.storage.run_dir import RunDirectory
from evoweights.testing.populations import CPU

TOTAL_STEPS = 1000
"""What improvers are told of the length of the run, as turns are made up on the way."""


@dataclass(eq=False)
class MadeUpTurns:
    """The turns that were made up for some generations; those of the configured rule for the others."""

    rule: TurnRule
    made_up: dict[int, Turn] = field(default_factory=dict)
    name: ClassVar[str] = "made_up"
    source: ClassVar[str] = "evoweights"

    def choose(self, generation: int, size: int, noise: Noise) -> Turn:
        """The turn of a generation."""
        return self.made_up.get(generation) or self.rule.choose(generation, size, noise)


@dataclass
class StopAfter(StopRequest):
    """Asks to stop from its ``left``-th look on; None: never."""

    left: int | None = None

    def __call__(self) -> int:
        """143 as soon as it is time, 0 before."""
        if self.left is not None and self.exit_code == 0:
            self.left -= 1
            self.exit_code = 143 if self.left < 0 else 0
        return self.exit_code


class Place:
    """One run's folder and, while it is open, its engine."""

    def __init__(self, config: RunConfig, folder: Path) -> None:
        self.turns, self.stop = MadeUpTurns(config.turn), StopAfter()
        self.config = dataclasses.replace(config, output=folder, turn=self.turns)
        self.folder = folder / config.name
        self.engine: Engine | None = None

    @property
    def running(self) -> Engine:
        """The engine; the run must be open."""
        assert self.engine is not None
        return self.engine

    def open(self, home: str) -> Engine:
        """Open the run with its population at this home, if it lets one choose."""
        population: Any = self.config.population
        if any(each.name == "home" for each in dataclasses.fields(population)):
            population = dataclasses.replace(population, home=home)
        config, self.stop = dataclasses.replace(self.config, population=population), StopAfter()
        run = RunDirectory.open(
            config.output,
            config.name,
            config_text=config.text,
            overrides=(),
            environment={},
            keep=config.checkpoint.keep,
        )
        try:
            engine = open_engine(config, run, CPU, self.stop, {})
        except BaseException:
            run.close()
            raise
        engine.info = dataclasses.replace(engine.info, total_steps=TOTAL_STEPS)
        self.engine = engine
        return engine

    def drop(self) -> None:
        """Let go of the engine, whatever it holds."""
        if self.engine is not None:
            self.engine.run.close()
            self.engine = None


@dataclass(frozen=True)
class Kept:
    """A checkpoint as it must be: the reference's state, the engine's, and the turn that it was written within, if any."""

    state: dict[str, Any]
    look: dict[str, Any]
    within: Turn | None = None
