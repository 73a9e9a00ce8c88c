"""Pictures of losses: that of every individual, and who is best when."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, Label, Span
from bokeh.plotting import figure
from numpy.typing import NDArray

from evoweights.report.facts import RunFacts
from evoweights.report.history import History
from evoweights.report.numbers import loss_text, plural
from evoweights.report.picture import LeftOut, Picture, Swatch
from evoweights.report.style import FONT, NAMED, SOFT, colours, frame, hover, name_lanes, without_y_axis
from evoweights.report.thinning import POINTS, columns, kept
from evoweights.report.timeline import Timeline

LOG_FROM = 30.0
"""Largest by smallest loss from which on the axis of losses is logarithmic."""
DOTS = 80
"""Measurements up to which each is marked."""
LANES = 600
"""Columns of a ribbon."""


def loss_picture(history: History, facts: RunFacts, time: Timeline) -> Picture | LeftOut:
    """Validation loss of every individual, and thinner the mean training loss of its turns; below, who leads."""
    measured = history.measured
    if not len(measured):
        return LeftOut("loss", f"no {facts.individual} has been measured yet")
    made = frame(
        height=380,
        x_range=time.window,
        x_label=time.label,
        y_label="loss",
        y_axis_type="log" if _wants_log(history) else "linear",
    )
    if history.size <= NAMED:
        swatches = _lines(made, history, time)
        _tell_each(made, history, facts, time)
    else:
        swatches = _band(made, history, time)
    _references(made, history, facts, time)
    ribbons = _ribbons(history, time) if history.size > 1 else ()
    title, hint = _words(history, facts)
    return Picture("loss", title, hint, (made, *ribbons), tuple(swatches))


def _wants_log(history: History) -> bool:
    every = np.concatenate([history.start, history.fitness.ravel(), history.turns.mean_loss])
    finite = every[np.isfinite(every)]
    least, most = float(finite.min()), float(finite.max())
    return least > 0 and most > LOG_FROM * least


def _words(history: History, facts: RunFacts) -> tuple[str, str]:
    last = float(history.best_fitness[history.measured[-1]])
    lowest = int(np.nanargmin(history.best_fitness))
    who = f"{facts.individual} {history.best_row[lowest]}"
    title = f"Validation loss went from {loss_text(history.first_loss)} to {loss_text(last)}"
    if history.size > 1:
        title += f"; lowest: {loss_text(history.best_fitness[lowest])}, {who}"
    hint = "Lower is better. "
    if len(history.turns.row):
        hint += "Thick is the validation loss, thin the mean training loss of each turn: "
        hint += "thin far below thick is learning by heart. "
    if history.size > 1:
        words = f"The ribbons say which {facts.individual} is best, and whose turn it is"
        hint += f"{words}: a lead that only follows the turns says who trained last, not who is better."
    return title, hint


def _lines(made: figure, history: History, time: Timeline) -> list[Swatch]:
    """A line for each individual."""
    named = colours(history.size)
    for row, colour in enumerate(named):
        of_row = history.turns.row == row
        entries, losses = history.at(history.turns.generation[of_row]), history.turns.mean_loss[of_row]
        keep = kept(losses)
        thin = {"line_color": colour, "line_width": 1.2, "line_alpha": 0.65, "name": f"row-{row}"}
        made.line(time.ends[entries[keep]], losses[keep], **thin)
    for row, colour in enumerate(named):
        every = np.concatenate([history.start[row : row + 1], history.fitness[:, row]])
        keep = kept(every)
        x, losses = time.edges[keep], every[keep]
        made.line(x, losses, line_color=colour, line_width=2.4, name=f"row-{row}")
        if len(keep) <= DOTS:
            made.scatter(x, losses, color=colour, size=5, name=f"row-{row}")
    colour = named[0] if history.size == 1 else SOFT
    trained = [Swatch(colour, "training, mean of a turn", is_thin=True)] if len(history.turns.row) else []
    return [Swatch(colour, "validation"), *trained]


def _tell_each(made: figure, history: History, facts: RunFacts, time: Timeline) -> None:
    """Wherever the pointer is, say the losses of all individuals in that generation."""
    keep = kept(history.best_fitness)
    values: dict[str, Any] = {
        "x": time.ends[keep],
        "y": history.best_fitness[keep],
        "generation": history.generation[keep].astype(np.int32),
    }
    values |= {f"row{row}": history.fitness[keep, row] for row in range(history.size)}
    unseen = made.line("x", "y", source=ColumnDataSource(values), line_alpha=0)
    each = [(f"{facts.individual} {row}", f"@row{row}{{0.0000}}") for row in range(history.size)]
    hover(made, [unseen], [("generation", "@generation"), *each], mode="vline")


def _band(made: figure, history: History, time: Timeline) -> list[Swatch]:
    """Where the many individuals lie: best, quarters, middle and worst."""
    entries = history.measured
    levels = np.nanquantile(history.fitness[entries], [0.0, 0.25, 0.5, 0.75, 1.0], axis=1)
    keep = np.union1d(kept(levels[0], limit=POINTS // 2), kept(levels[4], limit=POINTS // 2))
    x, levels = time.ends[entries[keep]], levels[:, keep]
    wide, narrow, best = colours(3)[0], colours(3)[0], colours(3)[1]
    made.varea(x, levels[0], levels[4], fill_color=wide, fill_alpha=0.15)
    made.varea(x, levels[1], levels[3], fill_color=narrow, fill_alpha=0.25)
    made.line(x, levels[2], line_color=wide, line_width=1.5)
    source = ColumnDataSource(
        {"x": x, "y": levels[0], "generation": history.generation[entries[keep]].astype(np.int32)}
    )
    line = made.line("x", "y", source=source, line_color=best, line_width=2.4)
    hover(made, [line], [("generation", "@generation"), ("lowest validation loss", "@y{0.0000}")])
    turns = history.turns
    keep = kept(turns.mean_loss)
    if len(keep):
        x = time.ends[history.at(turns.generation[keep])]
        made.line(x, turns.mean_loss[keep], line_color=SOFT, line_width=1, line_alpha=0.6)
    swatches = [Swatch(best, "lowest"), Swatch(wide, "middle; darker: half of all; lighter: all")]
    return swatches + ([Swatch(SOFT, "training", is_thin=True)] if len(keep) else [])


def _references(made: figure, history: History, facts: RunFacts, time: Timeline) -> None:
    """Dashed lines at the losses to compare with that are within sight."""
    every = np.append(history.fitness.ravel(), history.start)
    low, high = np.nanmin(every), np.nanmax(every)
    for name, loss in facts.references.items():
        if math.isfinite(loss) and low <= loss <= high:
            made.add_layout(Span(location=loss, dimension="width", line_color=SOFT, line_dash="dashed"))
            made.add_layout(
                Label(
                    x=float(time.edges[-1]),
                    y=loss,
                    x_offset=-6,
                    y_offset=3,
                    text=f"{name.replace('_', ' ')} {loss_text(loss)}",
                    text_align="right",
                    text_color=SOFT,
                    text_font=FONT,
                    text_font_size="12px",
                )
            )


def _ribbons(history: History, time: Timeline) -> tuple[figure, ...]:
    """Two lanes of colour over the same time: who is best, and whose turn it is."""
    trained = np.full(len(history.generation), -1, dtype=np.int64)
    trained[history.at(history.turns.generation)] = history.turns.row
    lanes = [("leads", _filled(history.best_row))]
    if (trained >= 0).any():
        lanes.append(("trains", trained))
    made = frame(height=30 + 26 * len(lanes), x_range=time.window, y_range=(-0.1, len(lanes) + 0.0))
    without_y_axis(made)
    made.xaxis.visible = False
    heights = [len(lanes) - index - 0.55 for index in range(len(lanes))]
    name_lanes(made, [name for name, _ in lanes], heights)
    named = [*colours(history.size), "#00000000"]
    for height, (_, rows) in zip(heights, lanes, strict=True):
        left, right, who = zip(*_segments(rows, time), strict=True)
        made.hbar(
            y=np.full(len(left), height),
            left=np.array(left),
            right=np.array(right),
            height=0.7,
            fill_color=[named[row] for row in who],
            line_color=None,
        )
    return (made,)


def _filled(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows with the last known one where none is known."""
    known = np.maximum.accumulate(np.where(rows >= 0, np.arange(len(rows)), -1))
    return np.where(known >= 0, rows[known], -1)


def _segments(rows: NDArray[np.int64], time: Timeline) -> Iterator[tuple[float, float, int]]:
    """Stretches of time with the same row; of long runs, what is seen in each of ``LANES`` columns."""
    edges = time.edges
    if len(rows) > LANES:
        shown, start, end = columns(time.edges, limit=LANES)
        rows, edges = rows[shown], np.linspace(start, end, len(shown) + 1)
    first = 0
    for index in range(1, len(rows) + 1):
        if index == len(rows) or rows[index] != rows[first]:
            yield float(edges[first]), float(edges[index]), int(rows[first])
            first = index


def lead_words(history: History, facts: RunFacts) -> str:
    """How often the lead changed, in a sentence; empty for one individual."""
    rows = history.best_row[history.best_row >= 0]
    if history.size < 2 or len(rows) < 2:
        return ""
    changes = int((np.diff(rows) != 0).sum())
    most = int(np.bincount(rows).argmax())
    share = float((rows == most).mean())
    return (
        f"{facts.individual} {most} was best in {share:.0%} of the generations; {plural(changes, 'change')} of the lead"
    )
