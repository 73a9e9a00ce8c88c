"""Opening one individual of a run: mounted in a live module, for export, generation or a closer look."""

import dataclasses
import errno
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from evoweights.config.loading import config_from_text
from evoweights.config.run_config import RunConfig
from evoweights.contract import calling
from evoweights.errors import UsageError
from evoweights.founding import mount_blueprint
from evoweights.population import WEIGHTS, buffers_among
from evoweights.runs.same_task import fingerprint_of, warn_of_other_task
from evoweights.runs.session import open_task
from evoweights.scoring import Champion
from evoweights.seeds import Noise
from evoweights.storage.durable import disk_errors
from evoweights.storage.run_dir import RunDirectory
from evoweights.task import Task

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""What no task can help when it writes."""


def config_of_run(folder: Path, *, allow_env: Sequence[str] = ()) -> RunConfig:
    """The configuration that a run was started with, overrides included, wherever its folder lies now."""
    text, where = RunDirectory.read(folder).config_text, str(folder / "config.yaml")
    config = config_from_text(text, where=where, folder=folder, allow_env=allow_env)
    return dataclasses.replace(config, output=folder.parent)


@dataclass(frozen=True)
class OpenedIndividual:
    """One individual of a run, mounted in a live module, with the task that can export it or generate from it."""

    task: Task
    module: nn.Module
    label: str


def open_individual(folder: Path, which: str = "best", *, allow_env: Sequence[str] = ()) -> OpenedIndividual:
    """The best individual of a run, or the one in row ``which`` of its newest intact checkpoint.

    Raises:
        UsageError: the folder is no run, or the row does not exist.
        CheckpointError: nothing intact is saved.
    """
    run_directory = RunDirectory.read(folder)
    config, device = config_of_run(folder, allow_env=allow_env), torch.device("cpu")
    task = open_task(config, folder, device)
    with calling(f"population {config.population.name}: blueprint for task {config.task.name}"):
        blueprint = config.population.blueprint(task, Noise(config.seed).at("population"))
    if which != "best" and which not in map(str, range(blueprint.size)):
        raise UsageError(f"--expert: found {which!r}, allowed are best and 0 to {blueprint.size - 1}.")
    with calling(f"population {config.population.name}: its model"):
        mounted = mount_blueprint(blueprint, device)
    if which == "best":
        tensors, meta = run_directory.load_best()
        mounted.own.layout.check(meta.pop("layout"), where=str(run_directory.best_folder))
        warn_of_other_task(meta.pop("task", {}), fingerprint_of(task), where=str(run_directory.best_folder))
        champion = Champion(scores=tuple(meta.pop("scores")), tensors=tensors, **meta)
        champion.load_into_(mounted)
        label = f"best: individual {champion.row}, loss {champion.fitness:.4f} in generation {champion.generation}"
        return OpenedIndividual(task, mounted.module, label)
    checkpoint = run_directory.checkpoints.latest()
    if checkpoint is None:
        raise UsageError(
            f"{folder}: no checkpoint is saved yet, so there is no individual {which}. Continue the run first."
        )
    mounted.own.layout.check(checkpoint.state["layout"], where=str(checkpoint.folder))
    warn_of_other_task(checkpoint.state.get("task", {}), fingerprint_of(task), where=str(checkpoint.folder))
    row = int(which)
    tensors = checkpoint.tensors(f"individuals/{row:04d}")
    mounted.own.weights.copy_(tensors[WEIGHTS])
    mounted.shared.weights.copy_(checkpoint.tensors("shared")[WEIGHTS])
    mounted.put_buffers_(buffers_among(tensors))
    return OpenedIndividual(task, mounted.module, f"individual {row} of {checkpoint.folder.name}")


def export_individual(task: Task, module: nn.Module, folder: Path) -> str:
    """What the task says of the export of ``module`` that it has written to ``folder``.

    Raises:
        ResourceError: there is no room for it.
        PluginError: the task raised anything else that is not an error for people.
    """
    with calling(f"{type(task).__name__}: export"):
        try:
            return task.export(module, folder)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            with disk_errors(f"The export {folder}"):
                raise
