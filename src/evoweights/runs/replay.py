"""Doing a run again from its log: the first weights and what every step reported give the last weights, bit for bit."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from evoweights.config.run_config import RunConfig, Scheduled
from evoweights.contract import calling
from evoweights.errors import CheckpointError, UsageError
from evoweights.improvers import NonFiniteStep, Replayable
from evoweights.mounted import Mounted
from evoweights.runs.individuals import config_of_run
from evoweights.runs.same_task import fingerprint_of, refuse_other_task
from evoweights.runs.session import found_population, open_task, resolve_device, total_steps
from evoweights.seeds import Noise
from evoweights.storage.run_dir import RunDirectory
from evoweights.task import Task
from evoweights.training import moment_of
from evoweights.world import World


@dataclass(frozen=True)
class Replayed:
    """A run that was done again: its task, the individual in row 0, mounted, and how many steps of how many log bytes."""

    task: Task
    module: nn.Module
    steps: int
    log_bytes: int
    checkpoint: str


def replay(folder: Path, *, allow_env: Sequence[str] = ()) -> Replayed:
    """Rebuild the state of a run's newest intact checkpoint from the run's first weights and its steps.jsonl.

    Raises:
        UsageError: the run has no checkpoint, or did something that its log does not tell.
        CheckpointError: a step is missing from the log, or the weights are not those of the checkpoint.
    """
    run, config = RunDirectory.read(folder), config_of_run(folder, allow_env=allow_env)
    entries = _entries(config, folder)
    checkpoint = run.checkpoints.latest()
    if checkpoint is None:
        raise UsageError(
            f"{folder}: no checkpoint is saved yet, so there is nothing to compare a replay with. Continue the run first."
        )
    if any(each["parents"] for each in checkpoint.state["population"]["individuals"]):
        raise UsageError(
            f"{folder}: cannot be replayed, because its selection copied individuals, which the log does not tell. "
            "Only runs whose selection copies nothing (such as best) can be."
        )
    device = resolve_device(config.device)
    task = open_task(config, folder, device)
    refuse_other_task(checkpoint.state.get("task"), fingerprint_of(task), where=str(checkpoint.folder))
    with tempfile.TemporaryDirectory() as scratch:
        population, mounted = found_population(config, task, device, Path(scratch))
        last = checkpoint.state["progress"]["step"]
        records = _complete(run.read_steps(), last, folder, rows=population.size, entries=entries)
        steps = total_steps(config, population.size)
        for (row, entry), turn in groupby(records, key=lambda each: (each["row"], each["entry"])):
            mounted.load(population, row)
            _redo(mounted, entries[entry], turn, config=config, steps=steps)
            mounted.store(population)
        _compare(World(population, mounted), checkpoint.tensors, where=str(checkpoint.folder))
        mounted.show(population, 0)
    return Replayed(task, mounted.module, last, run.steps_bytes, checkpoint.folder.name)


def _entries(config: RunConfig, folder: Path) -> dict[str, Scheduled]:
    """The improvers by label.

    Raises:
        UsageError: one of them cannot do a step again, or there are operators.
    """
    cannot = [each.label for each in config.improve if not isinstance(each.component, Replayable)]
    cannot += [each.label for each in config.vary]
    if cannot or not config.improve:
        raise UsageError(
            f"{folder}: cannot be replayed, because the log does not tell what {', '.join(cannot) or 'it'} did. Only runs "
            "whose every improver reports its steps (such as es), without operators, can be."
        )
    return {each.label: each for each in config.improve}


def _complete(
    records: Iterable[Mapping[str, Any]], last: int, folder: Path, *, rows: int, entries: Iterable[str]
) -> Iterator[Mapping[str, Any]]:
    """The records of steps 1 to ``last``, seen to be whole and without a gap; those of later steps are left out."""
    known, remaining = sorted(entries), iter(records)
    for wanted in range(1, last + 1):
        record = next(remaining, None)
        if record is None or record.get("step") != wanted:
            raise CheckpointError(
                f"{folder}/steps.jsonl: step {wanted} of {last} is missing, so the run cannot be replayed. Put back an "
                "intact copy of it."
            )
        row, generation = record.get("row"), record.get("generation")
        is_sound = type(row) is int and 0 <= row < rows and type(generation) is int and generation >= 0
        if not is_sound or record.get("entry") not in known:
            raise CheckpointError(
                f"{folder}/steps.jsonl: step {wanted} is of generation {generation!r}, row {row!r}, entry "
                f"{record.get('entry')!r}; this run has rows 0 to {rows - 1} and the entries {', '.join(known)}. "
                "The log or config.yaml was changed, so the run cannot be replayed."
            )
        yield record


def _redo(
    mounted: Mounted, entry: Scheduled, records: Iterable[Mapping[str, Any]], *, config: RunConfig, steps: int
) -> None:
    for record in records:
        place = Noise(config.seed).at("generation", record["generation"], "improve", entry.label)
        moment = moment_of(
            *(entry.label, record["row"], record["step"], place.at("individual", record["row"])),
            total_steps=steps,
            backend=config.backend,
            report=lambda report: None,
        )
        with calling(f"improve {entry.component.name}: replay step {record['step']}"):
            try:
                entry.component.replay(mounted, moment, record)
            except NonFiniteStep as error:  # such a step is not logged
                raise CheckpointError(
                    f"steps.jsonl: step {record['step']} cannot have been taken, because {error}. The log or config.yaml "
                    "was changed, so the run cannot be replayed."
                ) from error


def _compare(world: World, saved: Any, *, where: str) -> None:
    """Raise CheckpointError unless every tensor of every individual and of the shared part has the saved bytes."""
    for name, made in world.files().items():
        for key, value in saved(name).items():
            if key not in made() or not _same_bytes(made()[key], value):
                raise CheckpointError(
                    f"The replay differs from {where} in {name}, {key}. Bits are promised on the same software and device; "
                    "if those are the same, the log or config.yaml was changed."
                )


def _same_bytes(left: Tensor, right: Tensor) -> bool:
    left, right = left.detach().cpu().contiguous(), right.contiguous()
    same_kind = left.dtype == right.dtype and left.shape == right.shape
    return same_kind and torch.equal(left.flatten().view(torch.uint8), right.flatten().view(torch.uint8))
