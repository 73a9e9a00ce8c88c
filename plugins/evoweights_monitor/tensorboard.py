"""The observer that writes TensorBoard event files."""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from evoweights.hookspecs import hookimpl
from evoweights.ledger.credit import credit_of
from evoweights.ledger.memory import peak_memory_bytes
from evoweights_monitor.progress import training_speed

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

    from evoweights.records import GenerationRecord, RunInfo, RunResult

_LOG = logging.getLogger("evoweights.tensorboard")


@dataclass
class _Session:
    """The open file, and what improvers have reported in this generation, by tag."""

    writer: "SummaryWriter | None" = None
    reported: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class TensorBoard:
    """Writes losses, the best, distances, jumps, times, throughput, memory and what improvers report, by generation.

    A run that continues hides what was written of generations that are computed again. If the files cannot be
    written (a full disk), one warning is logged and the rest of the run goes without.
    """

    name: ClassVar[str] = "tensorboard"
    source: ClassVar[str] = "evoweights"

    # No field: an open file is not a setting, and does not count when two observers are compared.
    @cached_property
    def _session(self) -> _Session:
        return _Session()

    @hookimpl
    def run_started(self, info: "RunInfo") -> None:
        """Open the event file."""
        self._guarded(lambda: self._open(info))

    @hookimpl
    def step_reported(self, entry: str, report: "Mapping[str, Any]") -> None:
        """Keep the single numbers of a report; a generation's mean of each is written at its end."""
        for key, value in report.items():
            if isinstance(value, int | float) and math.isfinite(value):
                self._session.reported.setdefault(f"{entry.split('-', 1)[-1]}/{key}", []).append(float(value))

    @hookimpl
    def generation_finished(self, info: "RunInfo", record: "GenerationRecord") -> None:
        """Write a generation's scalars, down to the disk."""
        if (writer := self._session.writer) is not None:
            reported = {tag: sum(values) / len(values) for tag, values in self._session.reported.items()}
            self._guarded(lambda: _write(writer, [*scalars(info, record), *reported.items()], record.generation))
        self._session.reported.clear()

    @hookimpl
    def run_finished(self, info: "RunInfo", result: "RunResult") -> None:
        """Write the text sample and close the file."""
        if (writer := self._session.writer) is not None and result.sample is not None:
            # Indented, so that TensorBoard's Markdown shows the text as it is.
            sample = "\n".join(f"    {line}" for line in result.sample.splitlines())
            self._guarded(lambda: writer.add_text("sample", sample, info.generations - 1))
        self._close()

    @hookimpl
    def run_failed(self) -> None:
        """Close the file."""
        self._close()

    def _open(self, info: "RunInfo") -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._session.writer = SummaryWriter(str(info.folder / "tb"), purge_step=info.first_generation)

    def _close(self) -> None:
        if (writer := self._session.writer) is not None:
            self._guarded(writer.close)
        self._session.writer = None

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except OSError as error:
            _LOG.warning(
                "TensorBoard files cannot be written (%s). "
                "The run goes on without them; metrics.jsonl has every figure.",
                error,
            )
            writer, self._session.writer = self._session.writer, None
            if writer is not None:
                # Closing ends the writer's thread; that the rest cannot be written either has been said.
                with suppress(OSError):
                    writer.close()


def _write(writer: "SummaryWriter", values: "Iterable[tuple[str, float]]", generation: int) -> None:
    for tag, value in values:
        writer.add_scalar(tag, value, generation)
    # The writer has a thread of its own; flushing now makes its errors those of this generation.
    writer.flush()


def scalars(info: "RunInfo", record: "GenerationRecord") -> Iterator[tuple[str, float]]:
    """The tags of a generation and their values; what is unknown has no value."""
    digits, who = max(2, len(str(info.size - 1))), info.individual
    for turn in record.improved:
        yield f"loss/{who}_{turn.row:0{digits}}", turn.mean_loss
        if turn.jump is not None:
            yield f"jump/{who}_{turn.row:0{digits}}", turn.jump
    for row, fitness in enumerate(record.fitness):
        if fitness is not None:
            yield f"validation/{who}_{row:0{digits}}", fitness
    if record.best_row is not None and record.best_fitness is not None:
        yield "best/loss", record.best_fitness
        yield "best/row", record.best_row
    if record.distance is not None:
        yield "population/distance", record.distance
    yield "population/failed", len(record.failed)
    for phase, seconds in record.seconds.items():
        yield f"time/{phase}", seconds
    if (speed := training_speed(info, record.improved)) is not None:
        yield f"throughput/{info.unit}_per_second", speed
    yield "memory/peak_gib", peak_memory_bytes(info.device) / 2**30
    for name, value in record.ledger.items():
        if value is not None and name not in ("seconds", "peak_memory_bytes"):
            yield f"ledger/{name}", value
    for each in credit_of(asdict(varied) for varied in record.varied):
        yield f"credit/{each.operator}", each.mean
