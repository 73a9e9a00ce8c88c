"""From a configuration to a finished run."""

import logging
import shlex
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from evoweights.config.run_config import RunConfig
from evoweights.contract import ComponentRaised, calling, chosen_turn
from evoweights.engine import Engine
from evoweights.errors import EvoweightsError, RunStopped, UsageError
from evoweights.founding import found
from evoweights.ledger.energy import energy_meter
from evoweights.mounted import Mounted
from evoweights.population import Population
from evoweights.records import RunInfo, RunResult
from evoweights.runs.environment import environment
from evoweights.runs.notes import note_info, note_result
from evoweights.runs.result import result_of
from evoweights.runs.same_task import fingerprint_of, refuse_other_task
from evoweights.runs.stopping import StopRequest, stop_on_signals
from evoweights.runs.task_facts import facts_of
from evoweights.seeds import Noise
from evoweights.storage.durable import disk_errors
from evoweights.storage.run_dir import RunDirectory
from evoweights.task import Task, TaskPlace
from evoweights.world import World
from evoweights_kernels import KernelError, choose_backend

_LOG = logging.getLogger("evoweights")


def resolve_device(name: str) -> torch.device:
    """The device that ``auto``, ``cpu``, ``cuda`` or ``cuda:1`` means on this machine.

    Raises:
        UsageError: CUDA is asked for by name and there is none, or fewer devices.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"device: {name!r} is not here; torch sees {torch.cuda.device_count()} CUDA devices. Use auto or cpu."
        )
    return device


def resolve_backend(name: str, device: torch.device) -> str:
    """The kernel backend that ``auto`` or a name means for genomes on ``device``.

    Raises:
        UsageError: a backend asked for by name cannot run here; there is no fallback.
    """
    try:
        return choose_backend(name, device)
    except KernelError as error:
        raise UsageError(f"backend: {error}") from error


def plugin_versions(config: RunConfig) -> dict[str, str]:
    """The version of every loaded plugin that does not come with evoweights; of a file, a digest of it."""
    return {each.name: each.version for each in config.plugins.loaded if not each.official}


def run(config: RunConfig, *, fresh: bool = False) -> RunResult:
    """Start or continue the run that ``config`` describes, to its end.

    Raises:
        EvoweightsError: what ended it; the run directory says FAILED, or nothing if it was asked to stop.
    """
    device = resolve_device(config.device)
    here = environment(str(device)) | {"plugins": plugin_versions(config)}
    folder = RunDirectory.open(
        Path(config.output),
        config.name,
        config_text=config.text,
        overrides=config.overrides,
        environment=here,
        fresh=fresh,
        keep=config.checkpoint.keep,
    )
    with folder, _told_where_the_traceback_is(), _log_to(folder.log_path), stop_on_signals() as stop:
        engine = open_engine(config, folder, device, stop, here)
        _LOG.info("started at generation %d", engine.info.first_generation)
        note_info(folder.folder, engine.info)
        engine.hooks.call("run_started", info=engine.info)
        try:
            engine.to_end()
            result = result_of(engine)
        except KeyboardInterrupt as error:
            stopped = RunStopped(
                "Stopped at once by a second Ctrl-C, without waiting for a checkpoint; what was done since the last one is "
                "done again.",
                advice=f"Continue with: evoweights resume {shlex.quote(str(folder.folder))}",
                exit_code=128 + signal.SIGINT,
            )
            _end_early(engine, stopped)
            raise stopped from error
        except BaseException as error:
            _end_early(engine, error)
            raise
        engine.hooks.call("run_finished", info=engine.info, result=result)
        note_result(folder.folder, result)
        _LOG.info("finished: individual %d is best, loss %.6f", result.best_row, result.best_fitness)
        folder.finish(f"best: individual {result.best_row}, loss {result.best_fitness:.6f}")
        shutil.rmtree(folder.folder / "population", ignore_errors=True)
    return result


@contextmanager
def _told_where_the_traceback_is() -> Iterator[None]:
    try:
        yield
    except ComponentRaised as error:
        raise ComponentRaised(
            f"{error} The traceback is in the log.txt of the run; its checkpoints are intact."
        ) from error


def _end_early(engine: Engine, error: BaseException) -> None:
    """Note in the log, to the observers and in the run's folder how a run ends before its time."""
    _LOG.info("ended: %s: %s", type(error).__name__, error)
    engine.hooks.call("run_failed", info=engine.info, error=error)
    if isinstance(error, EvoweightsError) and error.exit_code < 128:
        engine.run.fail(str(error))


def open_engine(
    config: RunConfig, folder: RunDirectory, device: torch.device, stop: StopRequest, here: Mapping[str, Any]
) -> Engine:
    """Open the task, found the population, and put back the newest intact checkpoint if there is one.

    Raises:
        ResourceError: there is no room for two checkpoints.
        DataError: the task's data or model are no longer those of the checkpoint.
    """
    task = open_task(config, folder.folder, device)
    population, mounted = found_population(config, task, device, folder.folder / "population")
    world = World(population, mounted, meter=energy_meter(str(device)))
    checkpoint, fingerprint = folder.checkpoints.latest(), fingerprint_of(task)
    if checkpoint is not None:
        refuse_other_task(checkpoint.state.get("task"), fingerprint, where=str(checkpoint.folder))
        world.restore(checkpoint.state, checkpoint.tensors)
        _warn_of_another_environment(checkpoint.environment, here)
    if checkpoint is None and any(True for _ in folder.read_metrics()):
        _LOG.warning("%s has no checkpoint: it starts again from generation 0", folder.folder)
    folder.checkpoints.check_space(world.nbytes())
    folder.rewind(world.progress.generation, world.progress.step)
    facts = facts_of(task, config.task.name)
    with calling(f"task {config.task.name}: references"):
        # Numbers of any type, such as numpy's.
        references = {str(name): float(loss) for name, loss in task.references().items()}
    with calling(f"population {config.population.name}: individual"):
        # A population may say what it calls an individual; it need not.
        individual = str(getattr(config.population, "individual", "individual"))
    info = RunInfo(
        name=folder.name,
        folder=folder.folder,
        seed=config.seed,
        generations=config.generations,
        size=population.size,
        first_generation=world.progress.generation,
        total_steps=total_steps(config, population.size),
        tokens_per_step=facts.tokens_per_batch,
        genes=mounted.own.layout.count,
        shared_genes=mounted.shared.layout.count,
        backend=resolve_backend(config.backend, device),
        device=str(device),
        references=references,
        individual=individual,
        unit=facts.unit,
    )
    return Engine(config, folder, config.hooks, task, world, info, stop, here, fingerprint)


def _warn_of_another_environment(then: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Bits are promised only on the same software, device and threads; say what is not the same."""
    changed = [
        f"{key} was {then[key]}, is {here[key]}"
        for key in ("torch_threads", "device", "machine", "versions", "plugins")
        if key in then and then[key] != here[key]
    ]
    if changed:
        _LOG.warning("the run continues in another environment, so its bits may differ: %s", "; ".join(changed))


def open_task(config: RunConfig, folder: Path, device: torch.device) -> Task:
    """The task, with its files in ``folder``/task.

    Raises:
        EvoweightsError: it cannot be opened, or its attributes are not what they must be.
    """
    place = folder / "task"
    place.mkdir(parents=True, exist_ok=True)
    with calling(f"task {config.task.name}: open"):
        task = config.task.open(TaskPlace(place, Noise(config.seed).at("task"), device))
    facts_of(task, config.task.name)  # or a mistake in them would end a command wherever they are read
    return task


def found_population(config: RunConfig, task: Task, device: torch.device, folder: Path) -> tuple[Population, Mounted]:
    """The population of a run with its first weights; what lives on disk lives in ``folder``."""
    noise = Noise(config.seed).at("population")
    with calling(f"population {config.population.name}: found it for task {config.task.name}"):
        return found(
            config.population.blueprint(task, noise),
            improvers=[each.component for each in config.improve],
            operators=[each.component for each in config.vary],
            noise=noise,
            device=device,
            folder=folder,
            compute=facts_of(task, config.task.name).compute_dtype,
        )


def total_steps(config: RunConfig, size: int) -> int:
    """Gradient steps of the whole run, if no turn is stopped early."""
    count = 0
    for generation in range(config.generations):
        noise = Noise(config.seed).at("generation", generation, "turn")
        turn = chosen_turn(config.turn, generation, size, noise)
        active = (each.component for each in config.improve if each.is_active(generation))
        count += len(turn.rows) * sum(each.steps if turn.steps is None else turn.steps for each in active)
    return count


@contextmanager
def _log_to(path: Path) -> Iterator[None]:
    with disk_errors(f"The log {path}"):
        handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("evoweights")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
