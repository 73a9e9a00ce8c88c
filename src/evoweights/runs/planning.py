"""What a run will take, found out before it starts: the model is built, and a few steps are timed."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from evoweights.config.run_config import RunConfig
from evoweights.founding import check_kernel, collect_slots, mount_blueprint
from evoweights.mounted import Mounted
from evoweights.operators import GeneOperator, Improver, Moment
from evoweights.population import resolve_home
from evoweights.progress import Progress
from evoweights.runs.estimate import Estimate
from evoweights.runs.session import open_task, resolve_backend, resolve_device, total_steps
from evoweights.seeds import Noise
from evoweights.task import Task
from evoweights.training import Feed

TIMED_STEPS = 3


def estimate(config: RunConfig) -> Estimate:
    """Open the data, build one individual, take a few steps with it, and add up. Nothing is left on disk.

    Raises:
        EvoweightsError: whatever would stop the run at its start.
    """
    device = resolve_device(config.device)
    with tempfile.TemporaryDirectory() as folder:
        task = open_task(config, Path(folder), device)
        blueprint = config.population.blueprint(task, Noise(config.seed).at("population"))
        improvers = [each.component for each in config.improve]
        mounted = mount_blueprint(blueprint, device, improvers=improvers)
        for each in config.vary:
            if isinstance(each.component, GeneOperator):
                check_kernel(each.component)
        activations, seconds = _try_steps(task, mounted, improvers, device)
    own, shared = mounted.own.layout, mounted.shared.layout
    slots = collect_slots([*improvers, *(each.component for each in config.vary)])
    row = own.size * (own.dtype.itemsize + sum(own.dtype.itemsize if s.role == "personal_best" else 4 for s in slots))
    state = shared.size * (shared.dtype.itemsize + 4 * len(mounted.shared.slots))
    home = resolve_home(blueprint.home, blueprint.size * row, device)
    population, champion = blueprint.size * row, (own.size + shared.size) * own.dtype.itemsize
    buffers = sum(
        part.weights.nbytes + part.gradient.nbytes + sum(each.nbytes for each in part.slots.values())
        for part in mounted.parts
    )
    steps = total_steps(config, blueprint.size)
    return Estimate(
        device=str(device),
        backend=resolve_backend(config.backend, device),
        home=home,
        individuals=blueprint.size,
        genes=own.count,
        shared_genes=shared.count,
        device_bytes=buffers + (population if home == "device" else 0),
        activation_bytes=activations,
        host_bytes=champion + (population if home == "host" else 0),
        disk_bytes=population if home == "disk" else 0,
        checkpoint_bytes=population + state + champion,
        free_disk_bytes=shutil.disk_usage(_existing(Path(config.output))).free,
        steps=steps,
        tokens=steps * task.tokens_per_batch,
        seconds_per_step=seconds,
        seconds=None if seconds is None else seconds * steps,
    )


def _try_steps(
    task: Task, mounted: Mounted, improvers: list[Improver], device: torch.device
) -> tuple[int | None, float | None]:
    """Bytes that one forward keeps for its backward, and seconds of a step once everything is compiled."""
    if not improvers:
        return None, None
    feed, saved = Feed(task, Progress()), []
    with _counting_saved_tensors(saved, mounted):
        feed.next_loss(mounted)
    noise = Noise(0, "estimate")
    started = time.perf_counter()
    for step in range(1, TIMED_STEPS + 2):
        if step == 2:  # the first step compiles kernels and allocates
            started = time.perf_counter()
        improvers[0].step(mounted, feed, Moment(step, TIMED_STEPS + 1, noise.at(step), "auto"))
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return sum(saved), (time.perf_counter() - started) / TIMED_STEPS


@contextmanager
def _counting_saved_tensors(sizes: list[int], mounted: Mounted) -> Iterator[None]:
    """Append the bytes of every storage that autograd keeps, each once, weights left out."""
    seen = {part.weights.untyped_storage().data_ptr() for part in mounted.parts}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            sizes.append(storage.nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield


def _existing(path: Path) -> Path:
    """The nearest folder above that exists."""
    path = path.resolve()
    while not path.exists():
        path = path.parent
    return path
