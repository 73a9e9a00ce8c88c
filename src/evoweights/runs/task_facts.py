"""What a run reads of its task besides calling it, seen to be of the right types."""

from dataclasses import dataclass
from typing import SupportsIndex

import torch

from evoweights.contract import calling
from evoweights.errors import PluginError
from evoweights.task import Task


@dataclass(frozen=True)
class TaskFacts:
    """The attributes of a task: see :class:`evoweights.task.Task`."""

    tokens_per_batch: int
    unit: str
    compute_dtype: torch.dtype | None
    sketches: bool


def facts_of(task: Task, name: str) -> TaskFacts:
    """The attributes of the task called ``name``.

    Raises:
        PluginError: one is not set, cannot be read, or is of another type than it must be.
    """
    where = f"task {name}"
    if not isinstance(task, Task):
        raise PluginError(f"{where}: open gave {task!r}; it must give a Task.")
    with calling(f"{where}: its attributes"):
        unit, dtype, sketches = task.unit, task.compute_dtype, task.sketches
        tokens = _tokens_per_batch(task, where)
        generates, exports = task.generates, task.exports
    if not isinstance(unit, str) or not unit:
        raise PluginError(f"{where}: unit is {unit!r}; give what a batch is counted in, in the plural, such as images.")
    if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1:
        raise PluginError(
            f"{where}: tokens_per_batch is {tokens!r}; give the number of {unit} in a batch, a whole number from 1."
        )
    if not (dtype is None or isinstance(dtype, torch.dtype)):
        raise PluginError(f"{where}: compute_dtype is {dtype!r}; give a torch.dtype, or None for that of the weights.")
    for attribute, value in (("sketches", sketches), ("generates", generates), ("exports", exports)):
        if not isinstance(value, bool):
            raise PluginError(f"{where}: {attribute} is {value!r}; give True or False.")
    return TaskFacts(tokens, unit, dtype, sketches)


def _tokens_per_batch(task: Task, where: str) -> object:
    """As the task has it, a whole number of any kind as an int.

    Raises:
        PluginError: it is not set.
    """
    try:
        found = task.tokens_per_batch
    except AttributeError as error:
        if error.obj is not task or error.name != "tokens_per_batch":  # a property of that name that has a mistake
            raise
        raise PluginError(
            f"{where}: tokens_per_batch is not set; give the number of {task.unit} in a batch."
        ) from error
    return int(found) if isinstance(found, SupportsIndex) and not isinstance(found, bool) else found
