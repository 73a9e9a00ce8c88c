"""The live panel of a run on a terminal."""

import math
import time

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from evoweights_monitor.formats import duration_text, loss_text, rate_text
from evoweights_monitor.lines import generation_text
from evoweights_monitor.progress import Progress

SHOWN = 32
"""The most individuals a panel shows; of more, those with the lowest loss."""


def panel(progress: Progress, *, now: float) -> Panel:
    """Where the run stands at the time ``now``."""
    info = progress.info
    rows = shown_rows(progress)
    some = f", the best {len(rows)} of {info.size} {info.individual}s" if len(rows) < info.size else ""
    parts: list[RenderableType] = [
        Text(_place(progress)),
        _bar(progress),
        Text(_pace(progress, now)),
        _line(
            f"{info.individual}, validation {'(training) ' if info.total_steps else ''}loss, * best{some}", style="dim"
        ),
        Columns([_cell(progress, row) for row in rows], equal=True, padding=(0, 3)),
    ]
    if progress.event:
        parts.append(_line(progress.event, style="cyan"))
    return Panel(Group(*parts), title=Text(info.name), title_align="left", border_style="dim")


class LivePanel:
    """The panel as of the moment it is drawn, for a display that redraws itself."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def __rich__(self) -> Panel:
        return panel(self.progress, now=time.monotonic())


def shown_rows(progress: Progress) -> list[int]:
    """The rows that fit a panel: all, or those with the lowest loss, in the order of rows."""
    rows = range(progress.info.size)
    if len(rows) <= SHOWN:
        return list(rows)
    return sorted(sorted(rows, key=lambda row: _rank(progress, row))[:SHOWN])


def _rank(progress: Progress, row: int) -> tuple[float, int]:
    losses = (progress.validation[row], progress.train[row])
    known = (loss for loss in losses if loss is not None and not math.isnan(loss))
    return next(known, math.inf), row


def _line(text: str, style: str = "") -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _place(progress: Progress) -> str:
    info, turn = progress.info, progress.turn
    generation = min(progress.done, info.generations - 1) if turn is None else turn.generation
    who = "" if turn is None else f", {info.individual} {turn.row}"
    steps = f", step {progress.step:,} of {info.total_steps:,}" if info.total_steps else ""
    return f"{generation_text(info, generation)}{who}{steps}"


def _bar(progress: Progress) -> Table:
    grid = Table.grid(expand=True, padding=(0, 1))
    grid.add_column(ratio=1)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_row(ProgressBar(total=1.0, completed=progress.fraction()), f"{progress.fraction():.0%}")
    return grid


def _pace(progress: Progress, now: float) -> str:
    age = None if progress.checkpoint_at is None else now - progress.checkpoint_at
    checkpoint = "none yet" if age is None else f"{duration_text(age)} ago"
    speed = f"{rate_text(progress.tokens_per_second)} {progress.info.unit}/s, " if progress.info.total_steps else ""
    return f"{speed}{duration_text(progress.seconds_left(now))} left, checkpoint {checkpoint}"


def _cell(progress: Progress, row: int) -> Text:
    is_best, is_acting = row == progress.best_row, progress.turn is not None and progress.turn.row == row
    training = f" ({loss_text(progress.train[row])})" if progress.info.total_steps else ""
    losses = f"{loss_text(progress.validation[row])}{training}"
    style = "red" if row in progress.failed else "green" if is_best else "bold" if is_acting else ""
    width = len(str(progress.info.size - 1))
    return Text(f"{'*' if is_best else ' '}{row:>{width}} {losses}", style=style, no_wrap=True)
