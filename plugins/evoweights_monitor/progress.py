"""Where a run stands, folded from what the core reports. No clock and no terminal: times are handed in."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from evoweights.records import GenerationRecord, ImproveRecord, RunInfo, VaryRecord
from evoweights_monitor.formats import rows_text


@dataclass
class Clock:
    """Steps and losses since the turn in progress began; the first step only starts the clock."""

    generation: int
    row: int
    started: float
    last: float
    steps: int = 1
    loss_sum: float = 0.0


@dataclass
class Progress:
    """Where a run stands. Times are seconds of a monotonic clock; losses are None while unknown."""

    info: RunInfo
    started: float
    done: int = field(init=False)
    step: int = 0
    first_step: int | None = None
    turn: Clock | None = None
    train: list[float | None] = field(init=False)
    validation: list[float | None] = field(init=False)
    best_row: int | None = None
    failed: frozenset[int] = frozenset()
    event: str = ""
    tokens_per_second: float | None = None
    checkpoint_at: float | None = None

    def __post_init__(self) -> None:
        self.done = self.info.first_generation
        self.train = [None] * self.info.size
        self.validation = [None] * self.info.size

    def stepped(self, generation: int, row: int, step: int, loss: float, *, now: float) -> None:
        """Take in one training step."""
        if self.first_step is None:
            self.first_step = step - 1
        self.step = step
        turn = self.turn
        if turn is None or (turn.generation, turn.row) != (generation, row):
            turn = self.turn = Clock(generation, row, started=now, last=now)
        else:
            turn.steps, turn.last = turn.steps + 1, now
            if now > turn.started:
                self.tokens_per_second = self.info.tokens_per_step * (turn.steps - 1) / (now - turn.started)
        turn.loss_sum += loss
        self.train[row] = turn.loss_sum / turn.steps

    def finished(self, record: GenerationRecord) -> None:
        """Take in a generation's record."""
        self.done, self.step = record.generation + 1, record.step
        for each in record.improved:
            self.train[each.row] = each.mean_loss
        self.validation[: len(record.fitness)] = record.fitness
        self.best_row, self.failed = record.best_row, frozenset(record.failed)
        self.tokens_per_second = training_speed(self.info, record.improved) or self.tokens_per_second
        self.event = next(iter(reversed(vary_events(record.varied, self.info.individual))), self.event)
        self.turn = None

    def fraction(self) -> float:
        """How much of the run is done, from 0 to 1."""
        if self.done >= self.info.generations:
            return 1.0
        if self.info.total_steps:
            return min(1.0, self.step / self.info.total_steps)
        return self.done / self.info.generations

    def seconds_left(self, now: float) -> float | None:
        """Estimate of the time to the end, from the pace since the run (or its continuation) began."""
        if self.done >= self.info.generations:
            return 0.0
        if self.info.total_steps:
            done, left = self.step - (self.first_step or 0), self.info.total_steps - self.step
            done = 0 if self.first_step is None else done
        else:
            done, left = self.done - self.info.first_generation, self.info.generations - self.done
        return max(0, left) * (now - self.started) / done if done > 0 else None


def training_speed(info: RunInfo, improved: Iterable[ImproveRecord]) -> float | None:
    """Units of the task (tokens) a second over a generation's training steps, evaluation left out; None without steps."""
    turns = list(improved)
    seconds = sum(each.seconds for each in turns)
    steps = sum(each.steps for each in turns)
    return info.tokens_per_step * steps / seconds if seconds > 0 and steps else None


def mean_train_loss(record: GenerationRecord) -> float | None:
    """Mean training loss of a generation's turns; one that is not finite counts only if all are so."""
    losses = [each.mean_loss for each in record.improved]
    finite = [loss for loss in losses if math.isfinite(loss)]
    return sum(finite or losses) / len(finite or losses) if losses else None


def vary_events(varied: Iterable[VaryRecord], individual: str) -> list[str]:
    """A sentence for each operator pipeline and its sources, in order: who was written, and from whom."""
    groups: dict[tuple[int, tuple[str, ...], tuple[int, ...]], list[int]] = {}
    for each in varied:
        others = tuple(source for source in each.sources if source != each.row)
        groups.setdefault((each.generation, each.operators, others), []).append(each.row)
    return [
        f"generation {generation}: {' + '.join(map(_operator_name, operators))} wrote {rows_text(rows, individual)}"
        + (f" from {rows_text(sources, individual)}" if sources else "")
        for (generation, operators, sources), rows in groups.items()
    ]


def _operator_name(label: str) -> str:
    """``pso`` of ``0-pso``: a label is the operator's place in the configuration and its name."""
    return label.rpartition("-")[2]
