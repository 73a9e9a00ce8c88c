"""Plain lines of a run: its start, each generation, warnings and an early end."""

from collections.abc import Mapping

from evoweights.errors import RunStopped
from evoweights.records import GenerationRecord, ImproveRecord, RunInfo
from evoweights_monitor.formats import duration_text, loss_text, rate_text, rows_text
from evoweights_monitor.progress import Progress, mean_train_loss


def generation_text(info: RunInfo, generation: int) -> str:
    """The number of a generation as the records have it (from 0), and how many that makes of all."""
    return f"generation {generation} ({generation + 1}/{info.generations})"


def references_text(references: Mapping[str, float]) -> str:
    """Losses to compare with, by name."""
    return ", ".join(f"{name.replace('_', ' ')} {loss_text(loss)}" for name, loss in references.items())


def start_lines(info: RunInfo) -> list[str]:
    """What runs, and where."""
    size = f"{info.size} {info.individual}{'' if info.size == 1 else 's'}"
    steps = f", {info.total_steps:,} steps of {info.tokens_per_step:,} {info.unit}" if info.total_steps else ""
    genes = f"{info.genes:,} genes each"
    lines = [
        f"{info.name}: {info.generations:,} generations of {size}{steps}, seed {info.seed}",
        f"{genes}, {info.shared_genes:,} shared; device {info.device}; operators on {info.backend}",
        f"run directory: {info.folder}",
    ]
    if info.first_generation:
        lines.append(f"continues after {info.first_generation} of {info.generations} generations")
    compare = references_text(info.references)
    lines.append("lower is better for every loss" + (f"; to compare: {compare}" if compare else ""))
    return lines


def generation_line(progress: Progress, record: GenerationRecord, *, now: float) -> str:
    """One generation on one line, without training in a run that has none; ``progress`` has taken the record in."""
    info = progress.info
    best = "" if record.best_row is None else f" ({info.individual} {record.best_row})"
    who = rows_text((each.row for each in record.improved), info.individual)
    training = [who, f"train loss {loss_text(mean_train_loss(record))}"]
    parts = [
        *(training if info.total_steps else []),
        f"best validation loss {loss_text(record.best_fitness)}{best}",
        f"distance {loss_text(record.distance)}",
        *([f"{rate_text(progress.tokens_per_second)} {info.unit}/s"] if info.total_steps else []),
        f"{duration_text(now - progress.started)} elapsed",
        f"{duration_text(progress.seconds_left(now))} left",
    ]
    return f"{generation_text(info, record.generation)}: {', '.join(parts)}"


def stopped_warning(info: RunInfo, record: ImproveRecord) -> str | None:
    """A warning if a turn ended early."""
    if record.stopped is None:
        return None
    return (
        f"warning: generation {record.generation}: the turn of {info.individual} {record.row} ended early, "
        f"after {record.steps} steps: {record.stopped}"
    )


def failed_warning(info: RunInfo, record: GenerationRecord, rows: frozenset[int]) -> str | None:
    """A warning if individuals have newly failed; it names the operators that rewrote one of them just before."""
    if not rows:
        return None
    suspects = sorted({" + ".join(each.operators) for each in record.varied if each.row in rows})
    just = f". Just before, {' and '.join(suspects)} rewrote what failed" if suspects else ""
    return (
        f"warning: generation {record.generation}: {rows_text(rows, info.individual)} failed (a loss that is NaN or infinite, or "
        f"three turns in a row that ended early) and cannot lead until rewritten{just}"
    )


def end_line(progress: Progress, error: BaseException) -> str:
    """How a run ended before its time."""
    done = f"{progress.done} of {progress.info.generations} generations"
    if isinstance(error, RunStopped):  # whose message says how to go on
        return f"{progress.info.name} stopped after {done}"
    return f"{progress.info.name} failed after {done}: {type(error).__name__}"
