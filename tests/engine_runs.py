"""Small runs for tests: a configuration as a mapping, run in a folder, and its final population as bytes."""

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from evoweights.config.loading import config_from_text
from evoweights.config.run_config import RunConfig
from evoweights.hookspecs import hookimpl
from evoweights.plugins.loading import register_hooks
from evoweights.storage.checkpoints import CheckpointStore

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
    "observers": [],
}


def config_in(folder: Path, changes: Mapping[str, Any] | None = None, **top: Any) -> RunConfig:
    """A digits run in ``folder``/runs, with some top-level keys replaced."""
    values = {**DIGITS, **(changes or {}), **top}
    config = config_from_text(OmegaConf.to_yaml(OmegaConf.create(values)), where="test", folder=folder)
    return dataclasses.replace(config, output=folder / "runs")


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


def population_digest(run: Path) -> str:
    """SHA-256 over every tensor and individual of the newest checkpoint: what must not depend on interruptions."""
    checkpoint = CheckpointStore(run / "checkpoints").latest()
    assert checkpoint is not None
    digest = hashlib.sha256()
    for name in sorted(checkpoint.names):
        for key, tensor in sorted(checkpoint.tensors(name).items()):
            digest.update(f"{name}/{key}/{tensor.dtype}/{tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().flatten().view(-1).numpy().tobytes())
    state = dict(checkpoint.state)
    # What a process looks at once, such as whether members see each other, is done and counted again after a stop.
    progress = {key: each for key, each in state["progress"].items() if "seconds" not in key and "flops" not in key}
    digest.update(repr((state["population"], state["shared_counters"], state["champion"], progress)).encode())
    return digest.hexdigest()
