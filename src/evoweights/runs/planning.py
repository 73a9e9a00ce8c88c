"""What a run will take, found out before it starts: a step is taken without content, and if that is quick, some are timed."""

import shutil
import tempfile
import time
from pathlib import Path

import torch

from evoweights.config.run_config import RunConfig
from evoweights.contract import calling
from evoweights.founding import check_kernel, collect_slots, mount_blueprint
from evoweights.homes.rows import is_mounted_in_place, resolve_home
from evoweights.improvers import Improver, Moment, NonFiniteStep
from evoweights.mounted import Blueprint, Mounted
from evoweights.operators import GeneOperator
from evoweights.progress import Progress
from evoweights.runs.estimate import Estimate
from evoweights.runs.memory import mounted_buffers, step_bytes, without_content
from evoweights.runs.session import open_task, resolve_backend, resolve_device, total_steps
from evoweights.runs.task_facts import TaskFacts, facts_of
from evoweights.seeds import Noise
from evoweights.storage.durable import disk_errors
from evoweights.task import Task
from evoweights.training import Feed

TIMED_STEPS = 3
QUICK = 2e11
"""Floating-point operations of a step that a CPU is asked to take only to see how long it needs: some seconds."""


def estimate(config: RunConfig) -> Estimate:
    """Open the data, look at one individual, and add up. Nothing is left on disk.

    Memory is that of a step taken without content, where the task can do that and the device is no CUDA device, else
    of a real one. Compiled blocks (``torch.compile``) need less than a step without content says.

    Raises:
        EvoweightsError: whatever would stop the run at its start.
    """
    device = resolve_device(config.device)
    for each in config.vary:
        if isinstance(each.component, GeneOperator):
            check_kernel(each.component)
    activations = seconds = None
    with disk_errors("A temporary folder (TMPDIR)"):
        temporary = tempfile.TemporaryDirectory()
    with temporary as folder:
        task = open_task(config, Path(folder), device)
        facts = facts_of(task, config.task.name)
        is_sketch = facts.sketches and device.type == "cpu"
        if is_sketch:
            with without_content():
                blueprint, mounted = _one_individual(config, task, device, facts.compute_dtype)
                activations = _step_bytes(task, mounted) if config.improve else None
            if not _is_quick(mounted, facts.tokens_per_batch):
                return _sum(config, facts, blueprint, mounted, activations, None)
        blueprint, mounted = _one_individual(config, task, device, facts.compute_dtype)
        if config.improve and _is_quick(mounted, facts.tokens_per_batch):
            activations = activations if is_sketch else _step_bytes(task, mounted)
            seconds = _seconds_per_step(task, mounted, config.improve[0].component)
        return _sum(config, facts, blueprint, mounted, activations, seconds)


def _one_individual(
    config: RunConfig, task: Task, device: torch.device, compute: torch.dtype | None
) -> tuple[Blueprint, Mounted]:
    """The first individual of a run, mounted as the run would do it; ``compute`` is the task's ``compute_dtype``."""
    with calling(f"population {config.population.name}: blueprint for task {config.task.name}"):
        blueprint = config.population.blueprint(task, Noise(config.seed).at("population"))
        mounted = mount_blueprint(blueprint, device, improvers=[each.component for each in config.improve])
    mounted.compute_in_(compute or mounted.own.layout.dtype)
    return blueprint, mounted


def _step_bytes(task: Task, mounted: Mounted) -> int:
    with calling(f"{type(task).__name__}: a first step"):
        return step_bytes(task, mounted)


def _is_quick(mounted: Mounted, tokens: int) -> bool:
    """Whether a step takes seconds at most: on an accelerator, or by six operations for each gene and token."""
    genes = sum(part.layout.count for part in mounted.parts)
    return mounted.own.weights.device.type != "cpu" or 6.0 * genes * tokens <= QUICK


def _seconds_per_step(task: Task, mounted: Mounted, improver: Improver) -> float | None:
    """Seconds of a step once everything is compiled; None if the losses are not finite."""
    feed, noise, device = Feed(task, Progress()), Noise(0, "estimate"), mounted.own.weights.device
    started = time.perf_counter()
    for step in range(1, TIMED_STEPS + 2):
        if step == 2:  # the first step compiles kernels and allocates
            started = time.perf_counter()
        try:
            with calling(f"improve {improver.name}: a first step"):
                improver.step(mounted, feed, Moment(step, TIMED_STEPS + 1, noise.at(step), "auto", noise))
        except NonFiniteStep:
            return None
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return (time.perf_counter() - started) / TIMED_STEPS


def _sum(
    config: RunConfig,
    facts: TaskFacts,
    blueprint: Blueprint,
    mounted: Mounted,
    activations: int | None,
    seconds: float | None,
) -> Estimate:
    own, shared, device = mounted.own.layout, mounted.shared.layout, resolve_device(config.device)
    slots = collect_slots([*(each.component for each in config.improve), *(each.component for each in config.vary)])
    row = own.size * (own.dtype.itemsize + sum(each.dtype_for(own).itemsize for each in slots))
    home = resolve_home(blueprint.home, blueprint.size * row, device)
    population, champion = blueprint.size * row, (own.size + shared.size) * own.dtype.itemsize
    # What only operators keep stays where it is.
    fetched = sum(each.nbytes for each in (mounted.own.weights, *mounted.own.slots.values()))
    apart = population - (fetched if is_mounted_in_place(blueprint.size, home, device) else 0)
    state = mounted.shared.weights.nbytes + sum(each.nbytes for each in mounted.shared.slots.values())
    steps = total_steps(config, blueprint.size)
    return Estimate(
        device=str(device),
        backend=resolve_backend(config.backend, device),
        home=home,
        individuals=blueprint.size,
        genes=own.count,
        shared_genes=shared.count,
        device_bytes=sum(each.nbytes for each in mounted_buffers(mounted))
        + (apart if home == "device" else 0)
        + (fetched if home == "host" and device.type == "cuda" else 0),  # the next individual, meanwhile
        activation_bytes=activations,
        host_bytes=champion + (apart if home == "host" else 0),
        disk_bytes=population if home == "disk" else 0,
        checkpoint_bytes=population + state + champion,
        free_disk_bytes=shutil.disk_usage(_existing(Path(config.output))).free,
        steps=steps,
        tokens=steps * facts.tokens_per_batch,
        seconds_per_step=seconds,
        seconds=None if seconds is None else seconds * steps,
        unit=facts.unit,
    )


def _existing(path: Path) -> Path:
    """The nearest folder above that exists."""
    path = path.resolve()
    while not path.exists():
        path = path.parent
    return path
