"""The ground that tasks are checked on: the task itself, opened in a folder of its own, and a model of it."""

import dataclasses
import functools
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from evoweights.seeds import Noise, seeded
from evoweights.task import Task, TaskPlace, TaskSettings
from evoweights.testing.comparing import bits
from evoweights.testing.populations import CPU

NOISE = Noise(1, "task")


@dataclass(eq=False)
class Opened:
    """A task that is opened when it is first asked for; its folder goes when this does."""

    settings: TaskSettings

    def __str__(self) -> str:
        return f"task {self.settings.name}"

    @functools.cached_property
    def folder(self) -> "tempfile.TemporaryDirectory[str]":
        """Where the task may keep files."""
        return tempfile.TemporaryDirectory(prefix="evoweights-task-")

    @functools.cached_property
    def task(self) -> Task:
        """The opened task."""
        return self.again()

    def again(self) -> Task:
        """Open it once more."""
        return self.settings.open(TaskPlace(Path(self.folder.name), NOISE, CPU))

    def model(self, seed: int) -> nn.Module:
        """A fresh model of one individual, drawn from this seed."""
        with seeded(Noise(seed, "model")):
            return self.task.build()


def leaves(value: Any) -> list[object]:
    """What a batch is made of, with the bytes of its tensors, to compare it with another."""
    if isinstance(value, Tensor):
        return [(value.dtype, tuple(value.shape), bits(value))]
    if isinstance(value, Mapping):
        return [each for name in value for each in (name, *leaves(value[name]))]
    if isinstance(value, list | tuple):
        return [len(value), *(each for one in value for each in leaves(one))]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [each for field in dataclasses.fields(value) for each in leaves(getattr(value, field.name))]
    return [repr(value)]


def look_of(module: nn.Module) -> tuple[object, ...]:
    """Everything of a module that looking at it must not change."""
    tensors = {name: bits(each) for name, each in module.state_dict().items()}
    gradients = {name: None if each.grad is None else bits(each.grad) for name, each in module.named_parameters()}
    modes = {name: each.training for name, each in module.named_modules()}
    return tensors, gradients, modes, {name: each.requires_grad for name, each in module.named_parameters()}


@contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """Raise if what is done meanwhile changes weights, buffers, gradients or modes."""
    before = look_of(module)
    yield
    names = ("weights or buffers", "gradients", "training modes", "what takes gradients")
    changed = [name for name, was, now in zip(names, before, look_of(module), strict=True) if was != now]
    assert not changed, f"the model is not left as it was: {' and '.join(changed)} changed"
