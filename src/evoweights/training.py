"""The improve phase: individuals take turns in the live module; a loss that is not finite stops one before its weights."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor

from evoweights.config.run_config import Scheduled
from evoweights.contract import calling, chosen_turn
from evoweights.homes.gradient_sums import GradientSums
from evoweights.improvers import Improver, Moment, NonFiniteStep
from evoweights.mounted import Mounted
from evoweights.operators import TurnRule
from evoweights.plugins.loading import Hooks
from evoweights.progress import Progress, TurnProgress
from evoweights.records import ImproveRecord, RunInfo
from evoweights.seeds import Noise
from evoweights.task import Task
from evoweights.world import World

STRIKES = 3
"""Turns in a row that may stop on a non-finite loss before the individual counts as failed."""


@dataclass(frozen=True)
class TaskSubset:
    """A batch of a task, for the individual that is mounted in ``mounted``; ``scored`` is told the copies of each pass."""

    task: Task
    mounted: Mounted
    batch: Any
    scored: Callable[[int], None] = lambda copies: None

    def scores(self, copies: int = 1) -> Tensor:
        """The loss of every item, float64 on the CPU; see :class:`evoweights.improvers.Subset`."""
        self.scored(copies if self.mounted.is_counted else 0)
        batch = self.batch if copies == 1 else self.task.repeated(self.batch, copies)
        return self.task.scores(self.mounted.module, batch).double().cpu()


@dataclass
class Feed:
    """The one stream of training batches; ``progress`` has its position and counts the work on them."""

    task: Task
    progress: Progress

    def draw(self, mounted: Mounted) -> "TaskSubset":
        """The next batch, to be scored as often as wanted."""
        batch, flops = self._next_batch(mounted), self.task.flops(mounted.module, mounted.share)
        return TaskSubset(self.task, mounted, batch, lambda copies: self.progress.trained(copies * flops))

    def next_loss(self, mounted: Mounted) -> Tensor:
        """The differentiable loss of the mounted individual on the next batch."""
        loss = self.task.loss(mounted.module, self._next_batch(mounted))
        self._count_gradient(mounted)
        return loss

    def add_gradient_(self, mounted: Mounted) -> Tensor:
        """Backward through the loss on the next batch, piece by piece; the loss."""
        losses, sums = [], GradientSums(mounted.parts)
        for piece, share in self.task.pieces(self._next_batch(mounted)):
            if losses:
                sums.set_aside_()
            loss = self.task.loss(mounted.module, piece) * share
            loss.backward()
            losses.append(loss.detach())
        sums.put_back_()
        self._count_gradient(mounted)
        return torch.stack(losses).sum()

    def _count_gradient(self, mounted: Mounted) -> None:
        self.progress.trained(self.task.gradient_flops(mounted.module, mounted.share))

    def _next_batch(self, mounted: Mounted) -> Any:
        mounted.refresh_()
        self.progress.batches += 1
        return self.task.batch(self.progress.batches - 1)


@dataclass(frozen=True)
class Training:
    """Gives every actor of a turn its steps. After each step it may be asked to stop; then ``stop_here`` does not return.

    ``record`` takes what an improver reported of a step.
    """

    world: World
    task: Task
    hooks: Hooks
    info: RunInfo
    stop: Callable[[], int]
    backend: str
    rule: TurnRule
    stop_here: Callable[[], NoReturn]
    record: Callable[[Mapping[str, Any]], None]

    def improve(self, generation: int, turn: TurnProgress, active: Sequence[Scheduled], noise: Noise) -> None:
        """Every active improver on every actor, from where ``turn`` says it was left."""
        for index in range(turn.entry, len(active)):
            for actor in range(turn.actor, len(turn.rows)):
                turn.entry, turn.actor = index, actor
                self._take_turn(generation, turn, active[index], noise.at(active[index].label))
                turn.losses = []
            turn.entry, turn.actor = index + 1, 0

    def _take_turn(self, generation: int, turn: TurnProgress, entry: Scheduled, noise: Noise) -> None:
        """Train one actor for its turn, or for what is left of it after a checkpoint in its middle."""
        world, progress, row = self.world, self.world.progress, turn.rows[turn.actor]
        improver: Improver = entry.component
        started, stopped = time.perf_counter(), None
        steps = improver.steps if turn.steps is None else turn.steps
        world.mounted.load(world.population, row)
        self._look_ahead(generation, turn)
        feed, here = Feed(self.task, progress), noise.at("individual", row)
        while len(turn.losses) < steps:
            number = progress.step + 1
            buffers = world.mounted.buffers()  # a loss that is not finite has been through running statistics already
            reports: list[Mapping[str, Any]] = []
            moment = moment_of(
                *(entry.label, row, number, here),
                total_steps=self.info.total_steps,
                backend=self.backend,
                report=reports.append,
            )
            try:
                with calling(f"improve {improver.name}: step {number} of individual {row}"):
                    self.task.flops(world.mounted.module)  # counted once, while it is whole: a step may be on a part
                    loss = float(improver.step(world.mounted, feed, moment))
            except NonFiniteStep as error:
                stopped = str(error)
                world.mounted.put_buffers_(buffers)
                break
            turn.losses.append(loss)
            world.meter.look()
            progress.step, progress.ticks = number, progress.ticks + 1
            self._record(reports, generation, row, number, entry.label)
            self.hooks.call("step_finished", info=self.info, generation=generation, row=row, step=number, loss=loss)
            if self.stop():
                self._store(improver)
                self.stop_here()
        self._store(improver)
        record = self._close_turn(generation, turn, row, stopped, time.perf_counter() - started)
        turn.improved.append(record)
        self.hooks.call("individual_improved", info=self.info, record=record)

    def _record(self, reports: Sequence[Mapping[str, Any]], generation: int, row: int, step: int, entry: str) -> None:
        """Keep and show what an improver said of a step that is done."""
        where = {"generation": generation, "step": step, "row": row, "entry": entry}
        for report in reports:
            with calling(f"improve {entry}: report what JSON can hold"):
                self.record({**report, **where})
            self.hooks.call("step_reported", info=self.info, report=report, **where)

    def _store(self, improver: Improver) -> None:
        self.world.mounted.refuse_written_copies(improver.name)
        self.world.mounted.store(self.world.population)

    def _look_ahead(self, generation: int, turn: TurnProgress) -> None:
        """Let the individual that is probably next be fetched meanwhile; nothing depends on whether it is the one."""
        if not self.world.mounted.swaps.looks_ahead:
            return
        rows = turn.rows[turn.actor + 1 :]
        if not rows and generation + 1 < self.info.generations:
            noise = Noise(self.info.seed).at("generation", generation + 1, "turn")
            rows = chosen_turn(self.rule, generation + 1, self.world.population.size, noise).rows
        if rows and rows[0] != turn.rows[turn.actor]:
            self.world.mounted.swaps.expect(self.world.population.rows, rows[0])

    def _close_turn(
        self, generation: int, turn: TurnProgress, row: int, stopped: str | None, seconds: float
    ) -> ImproveRecord:
        """Book a turn: losses, strikes, and whose fitness is unknown now."""
        population, progress, losses = self.world.population, self.world.progress, turn.losses
        individual, recent = population.individuals[row], progress.recent
        individual.turns += turn.entry == 0
        individual.strikes = individual.strikes + 1 if stopped else 0
        individual.failed = individual.failed or individual.strikes >= STRIKES
        mean = sum(losses) / len(losses) if losses else math.nan
        individual.train_loss = mean if losses else individual.train_loss
        progress.recent = losses[-3:] or recent
        is_shared = self.world.mounted.shared.layout.count > 0
        population.mark_changed(range(population.size) if is_shared else [row])
        return ImproveRecord(
            generation=generation,
            row=row,
            id=individual.id,
            steps=len(losses),
            first_loss=losses[0] if losses else math.nan,
            mean_loss=mean,
            last_loss=losses[-1] if losses else math.nan,
            jump=losses[0] - sum(recent) / len(recent) if recent and losses else None,
            seconds=seconds,
            stopped=stopped,
        )


def moment_of(
    entry: str,
    row: int,
    step: int,
    place: Noise,
    *,
    total_steps: int,
    backend: str,
    report: Callable[[Mapping[str, Any]], None],
) -> Moment:
    """The moment of a step; ``place`` is that of the individual under the entry in this generation."""
    fixed = Noise(place.seed).at("improve", entry, "individual", row)
    return Moment(step, total_steps, place.at("step", step), backend, fixed, report)
