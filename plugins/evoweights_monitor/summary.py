"""What is shown when a run is finished: every individual, what it cost, where things are and what to do next."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.table import Table

from evoweights.ledger.credit import OperatorCredit
from evoweights.records import RunInfo, RunResult
from evoweights_monitor.formats import (
    change_text,
    duration_text,
    energy_text,
    flops_text,
    loss_text,
    memory_text,
    rate_text,
)
from evoweights_monitor.lines import references_text


def result_table(info: RunInfo, result: RunResult) -> Table:
    """Every individual: validation loss at the start and at the end, and its turns; starred is whose was the best of the
    run."""
    table = Table(box=box.SIMPLE, show_edge=False)
    for heading in (info.individual, "start", "end", "change", "turns"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in result.table:
        change = loss_text(each.end - each.start)
        star = "*" if each.is_best else " "
        cells = [f"{star}{each.row}", loss_text(each.start), loss_text(each.end), change, str(each.turns)]
        table.add_row(*cells, style="green" if each.is_best else None)
    return table


def result_lines(info: RunInfo, result: RunResult) -> list[str]:
    """The best loss, what to compare it with, and what the run cost."""
    lines = [
        f"best of the run: {info.individual} {result.best_row}, validation loss {loss_text(result.best_fitness)}, "
        f"{_when(result.best_generation)} (lower is better)"
    ]
    if compare := references_text(result.references or info.references):
        lines.append(f"to compare: {compare}")
    lines.append(f"{_spent(info, result)}, peak memory {memory_text(result.peak_memory_bytes)}")
    if work := _work(result.ledger):
        lines.append(work)
    return lines


def _work(ledger: Mapping[str, float | int | None]) -> str:
    """What the run computed, moved and burnt, as far as it was counted; empty if nothing was."""
    flops, measuring = ledger.get("flops"), ledger.get("evaluation_flops")
    moved, joules = ledger.get("bytes_moved"), ledger.get("joules")
    parts = [] if flops is None else [f"{flops_text(int(flops))} of training"]
    parts += [] if measuring is None else [f"{flops_text(int(measuring))} of measuring"]
    parts += [] if moved is None else [f"{memory_text(int(moved))} moved between individuals' homes and the live model"]
    parts += [] if joules is None else [energy_text(joules)]
    return ", ".join(parts)


def credit_table(credit: Sequence[OperatorCredit]) -> Table:
    """What each operator did to the loss of those it rewrote, with a verdict; after the sign are the 95 % bounds of the mean."""
    table = Table(box=box.SIMPLE, show_edge=False)
    table.add_column("operator", no_wrap=True)
    for heading in ("times", "mean change", "spread"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for each in credit:
        bound = "" if each.high is None else f" +- {loss_text(each.high - each.mean)}"
        cells = [each.operator, f"{each.applications:,}", f"{change_text(each.mean)}{bound}", loss_text(each.spread)]
        table.add_row(*cells, each.verdict, style={"helps": "green", "hurts": "red"}.get(each.verdict))
    return table


def _spent(info: RunInfo, result: RunResult) -> str:
    """The work that was done; where nothing trains, that is evaluations."""
    time = duration_text(result.seconds)
    if not info.total_steps:
        speed = rate_text(result.evaluations / result.seconds if result.seconds else None)
        return f"{result.evaluations:,} evaluations in {time} ({speed} a second)"
    speed = f"{rate_text(result.tokens_per_second)} {info.unit}/s while training"
    return f"{result.tokens:,} {info.unit} in {time} ({speed})"


def _when(generation: int) -> str:
    return "at the start" if generation < 0 else f"in generation {generation}"


def place_lines(folder: Path) -> list[str]:
    """Where the run's results are."""
    lines = [f"best individual: {folder / 'best'}", f"metrics: {folder / 'metrics.jsonl'}"]
    return lines + ([f"TensorBoard: {folder / 'tb'}"] if (folder / "tb").is_dir() else [])


def next_commands(folder: Path, result: RunResult) -> list[str]:
    """Commands to go on with; those that have something to work on."""
    run = shlex.quote(str(folder))
    commands = [f"evoweights generate {run}"] if result.generates else []
    commands += [f"evoweights export {run}"] if result.exports else []
    commands += [f"evoweights verify {run}"] if not commands else []
    commands.append(f"evoweights report {run}")
    if (folder / "tb").is_dir():
        commands.append(f"tensorboard --logdir {shlex.quote(str(folder / 'tb'))}")
    return commands
