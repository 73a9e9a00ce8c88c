"""Small runs for tests: digits in a folder, and a way to stop and to watch them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evoweights.config.run_config import RunConfig
from evoweights.hookspecs import hookimpl
from evoweights.plugins.loading import register_hooks
from evoweights.testing import tiny_runs

DIGITS: Mapping[str, Any] = {
    "name": "digits",
    "generations": 6,
    "seed": 7,
    "task": {"name": "digits", "hidden": [12], "batch": 8, "train_images": 64, "validation_images": 32},
    "population": {"name": "individuals", "size": 3},
    "turn": {"name": "round_robin"},
    "improve": [{"name": "adamw", "steps": 4, "learning_rate": 3.0e-3}],
    "vary": [
        {"name": "pso", "social": 1.0, "inertia": 0.5, "cognitive": 0.5, "start": 1},
        {"name": "crossover", "rate": 0.3, "start": 1},
        {"name": "mutation", "rate": 0.05, "direction": "current_to_others"},
    ],
    "checkpoint": {"every_generations": 2},
    "backend": "auto",
    "observers": [],
}


def config_in(folder: Path, changes: Mapping[str, Any] | None = None, **top: Any) -> RunConfig:
    """A digits run in ``folder``/runs, with some top-level keys replaced."""
    return tiny_runs.config_in(folder, {**DIGITS, **(changes or {}), **top})


class StopAt:
    """Sends this process a signal after a given step, as a user or a scheduler would."""

    def __init__(self, step: int, number: int) -> None:
        self.step, self.number = step, number

    @hookimpl
    def step_finished(self, step: int) -> None:
        if step == self.step:
            os.kill(os.getpid(), self.number)


def observe(config: RunConfig, observer: object) -> None:
    """Let an object with hooks watch the run of ``config``."""
    manager = config.plugins.manager
    register_hooks(manager, observer, name="test")
    object.__setattr__(config, "hooks", type(config.hooks)(manager))
