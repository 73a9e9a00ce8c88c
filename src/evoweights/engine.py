"""The generation loop: turn, improve, vary, evaluate, select, record; and a checkpoint whenever one is due."""

import functools
import logging
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn

from evoweights.config.run_config import RunConfig
from evoweights.contract import chosen_turn
from evoweights.errors import DivergedError, ResourceError, RunStopped
from evoweights.operators import Scene
from evoweights.plugins.loading import Hooks
from evoweights.progress import TurnProgress
from evoweights.recording.generation import record_of
from evoweights.records import RunInfo, VaryRecord
from evoweights.scoring import Champion, crown, evaluate, evaluation_flops, select
from evoweights.seeds import Noise
from evoweights.storage.run_dir import RunDirectory
from evoweights.task import Task
from evoweights.training import Training
from evoweights.variation import Named, vary
from evoweights.varying.losses import RowLosses
from evoweights.world import World

FAILED_SAVES = 3
"""Checkpoints in a row that may fail for lack of space before the run ends."""

_LOG = logging.getLogger("evoweights")


@dataclass
class Engine:
    """A run in memory: its population, the live module, and how far it has come.

    ``stop`` gives 0 as long as the run may go on, else the exit code it is to end with; ``fingerprint`` is the task's.
    """

    config: RunConfig
    run: RunDirectory
    hooks: Hooks
    task: Task
    world: World
    info: RunInfo
    stop: Callable[[], int]
    environment: Mapping[str, Any]
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    _seconds: dict[str, float] = field(default_factory=dict)
    _best_on_disk: Champion | None = None
    _last_save: float = field(default_factory=time.monotonic)
    _failed_saves: int = 0

    def to_end(self) -> None:
        """Run every generation that is left; afterwards all individuals are measured and the best is saved.

        Raises:
            RunStopped: asked to stop; a checkpoint was written.
            DivergedError: no healthy individual is left.
        """
        if self.world.progress.generation == 0 and self.world.progress.turn is None:
            self.score(-1)
        while self.world.progress.generation < self.config.generations:
            self.one_generation()
        self.score(self.config.generations - 1)
        self._save_best()

    def one_generation(self) -> None:
        """Turn, improve, vary, evaluate, select, record; and a checkpoint if one is due."""
        generation = self.world.progress.generation
        noise = Noise(self.config.seed).at("generation", generation)
        started = time.perf_counter()
        turn = self.world.progress.turn = self.world.progress.turn or self._plan(generation, noise)
        with self._phase("improve"):
            active = [each for each in self.config.improve if each.is_active(generation)]
            self._training.improve(generation, turn, active, noise.at("improve"))
        self._refuse_if_all_failed(generation)
        with self._phase("vary"):
            if turn.varied is None:  # else the run was stopped in the evaluation that follows
                turn.varied = self._vary(generation, turn, noise) if turn.varies else []
        varied, credit = list(turn.varied), self._seconds.get("credit", 0.0)
        self._seconds["vary"] -= credit
        if (generation + 1) % self.config.evaluate.every == 0:
            with self._phase("evaluate"):
                self.score(generation)
                varied += select(
                    self.world.population, self.config.select, generation=generation, noise=noise.at("select")
                )
        self.world.progress.improve_seconds += self._seconds["improve"]
        self.world.progress.seconds += time.perf_counter() - started - credit
        self._record(generation, turn, varied)
        self.world.progress.generation += 1
        self.world.progress.ticks += 1
        self.world.progress.turn = None
        self._checkpoint_if_due()

    @functools.cached_property
    def _training(self) -> Training:
        return Training(
            self.world,
            self.task,
            self.hooks,
            self.info,
            self.stop,
            backend=self.config.backend,
            rule=self.config.turn,
            stop_here=self._stop_here,
            record=self.run.append_step,
        )

    def _plan(self, generation: int, noise: Noise) -> TurnProgress:
        plan = chosen_turn(self.config.turn, generation, self.world.population.size, noise.at("turn"))
        healthy = self.world.population.healthy()
        return TurnProgress(tuple(row for row in plan.rows if row in healthy), plan.steps, plan.varies)

    def _vary(self, generation: int, turn: TurnProgress, noise: Noise) -> list[VaryRecord]:
        rows = self.world.population.individuals
        scene = Scene(
            actors=turn.rows,
            healthy=tuple(self.world.population.healthy()),
            scores=tuple(row.score for row in rows),
            train_losses=tuple(row.train_loss for row in rows),
        )
        entries = [Named(each.label, each.component) for each in self.config.vary if each.is_active(generation)]
        losses = RowLosses(self.world.population, self.world.mounted, self.task, self.world.progress)
        records = vary(
            self.world.population,
            entries,
            scene,
            generation=generation,
            noise=noise.at("vary"),
            backend=self.config.backend,
            optimizer_state=self.config.optimizer_state,
            losses=losses if self.config.credit else None,
        )
        if losses.seconds:
            self._seconds["credit"] = losses.seconds
        return records

    def score(self, generation: int) -> None:
        """Measure every individual whose fitness is unknown, and see who is the best now; generation -1 is the start.

        Raises:
            RunStopped: asked to stop; a checkpoint was written.
            DivergedError: no healthy individual is left.
        """
        unknown = self.world.population.unknown()
        is_done = evaluate(self.world.population, self.world.mounted, self.task, stop=self.stop)
        count = len(unknown) - len(self.world.population.unknown())
        self.world.progress.measured(count, evaluation_flops(self.task, self.world.mounted))
        if not is_done:
            self._stop_here()
        self._refuse_if_all_failed(generation)
        self.world.champion = crown(
            self.world.champion, self.world.population, self.world.mounted, generation=generation
        )

    def _refuse_if_all_failed(self, generation: int) -> None:
        if self.world.population.healthy():
            return
        self._save_best()
        advice = "No individual ever had a finite loss: look at the data, or at what gives the loss or reward, first."
        if self.world.champion is not None:
            advice = f"The best weights before that are in {self.run.best_folder}. "
            advice += "Lower the learning rate or the operators' strength and start again with --fresh."
        raise DivergedError(
            f"generation {generation}: no healthy individual is left, by their losses or because their turns stopped. {advice}"
        )

    def _record(self, generation: int, turn: TurnProgress, varied: list[VaryRecord]) -> None:
        """Write down the generation; what is timed from here on, such as a checkpoint, goes into the next record."""
        seconds, self._seconds = self._seconds, {}
        record = record_of(
            self.world,
            generation,
            improved=turn.improved,
            varied=varied,
            seconds=seconds,
            costs=self.world.costs(self.info.tokens_per_step),
        )
        for each in varied:
            self.run.append_lineage(asdict(each))
        self.run.append_metrics(asdict(record))
        self.hooks.call("generation_finished", info=self.info, record=record)

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] = time.perf_counter() - started

    def _checkpoint_if_due(self) -> None:
        if self.stop():
            self._stop_here()
        settings, generation = self.config.checkpoint, self.world.progress.generation
        aged = time.monotonic() - self._last_save >= settings.every_seconds
        if not (generation % settings.every_generations == 0 or aged or generation == self.config.generations):
            return
        try:
            self.checkpoint()
            self._failed_saves = 0
        except ResourceError as error:
            self._failed_saves += 1
            _LOG.warning("checkpoint failed (%d in a row): %s", self._failed_saves, error)
            if self._failed_saves >= FAILED_SAVES:
                raise

    def _stop_here(self) -> NoReturn:
        self.checkpoint()
        raise RunStopped(
            f"Stopped in generation {self.world.progress.generation} after {self.world.progress.step} steps; a checkpoint is "
            "written.",
            advice=f"Continue with: evoweights resume {shlex.quote(str(self.run.folder))}",
            exit_code=self.stop(),
        )

    def checkpoint(self) -> None:
        """Write everything an exact continuation needs, and the best individual.

        Raises:
            ResourceError: the disk is full; the previous checkpoint is intact.
            UsageError: the run's configuration was removed.
        """
        started = time.perf_counter()
        folder = self.run.checkpoints.save(
            self.world.progress.ticks,
            self.world.files(),
            {**self.world.state(), "task": self.fingerprint},
            unchanged=self.world.unchanged(),
            environment=self.environment,
        )
        self.world.mark_saved()
        self._save_best()
        self._last_save = time.monotonic()
        self._seconds["checkpoint"] = time.perf_counter() - started
        generation = self.world.progress.generation
        self.hooks.call("checkpoint_saved", info=self.info, generation=generation, folder=str(folder))

    def _save_best(self) -> None:
        champion = self.world.champion
        if champion is not None and champion is not self._best_on_disk:
            of = {"layout": self.world.population.layout.fingerprint, "task": self.fingerprint}
            self.run.save_best(champion.tensors, champion.facts() | of)
            self._best_on_disk = champion
