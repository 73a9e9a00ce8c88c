"""The picture of how different individuals are."""

import math
from typing import Any

import numpy as np
from bokeh.models import ColorBar, ColumnDataSource, DataRange1d, LogColorMapper, LogTicker, Span
from bokeh.plotting import figure

from evoweights.report.facts import RunFacts
from evoweights.report.history import History
from evoweights.report.numbers import short_text
from evoweights.report.picture import LeftOut, Picture
from evoweights.report.style import FONT, SOFT, frame, gradient, hover, name_lanes, without_y_axis
from evoweights.report.thinning import columns, kept
from evoweights.report.timeline import Timeline

COPIES = 0.02
"""Distance under which individuals are called near-copies: their weights differ by two per cent of their size."""
COLUMNS = 400
SMALLEST = 1e-9
"""Smaller distances are drawn as this one; 0 has no logarithm."""
LABELLED = 28
"""Pairs up to which each is named beside the heat map."""
_HEAT = ("#2b1b54", "#5a2a83", "#a3347f", "#de5a56", "#f59b45", "#fbe57b")
_LINE = "#b0468c"
_BAR = 88
"""Pixels for the scale at the right of the heat map, and left free beside the line."""


def distance_picture(history: History, facts: RunFacts, time: Timeline) -> Picture | LeftOut:
    """Mean distance over time, and below it that of each pair as a heat map."""
    if history.size < 2:
        return LeftOut("distances", f"there is only one {facts.individual}")
    known = np.flatnonzero(np.isfinite(history.distance))
    if not len(known):
        return LeftOut("distances", "none was measured")
    maps = (_heat_map(history, time),) if len(history.pairs) > 1 else ()
    first, last = (float(each) for each in history.distance[known[[0, -1]]])
    hint = (
        "Mean over pairs of |a - b| / |a| on a sample of the matrices, logarithmic. A saw-tooth is training that drives them "
        f"apart and operators that pull them together. Below the dashed line ({COPIES:g}) they are near-copies: one model in "
        "several places."
    )
    if maps:
        hint += " Below, every pair: dark is alike, bright is different; a dark block is a clan."
    elif history.size > 2:
        hint += " The run's record has no distances of single pairs."
    return Picture("distance", _title(first, last, facts), hint, (_mean(history, time), *maps))


def _title(first: float, last: float, facts: RunFacts) -> str:
    title = f"Distance between {facts.individual}s went from {distance_text(first)} to {distance_text(last)}"
    if last < COPIES:
        return f"{title}: they are near-copies"
    ratio = first / last if last > 0 else math.inf
    return f"{title}, {ratio:.3g} times closer" if ratio > 1.5 else f"{title}: they stay different"


def distance_text(distance: float) -> str:
    """Three digits; of what is smaller than anything drawn, no more than that."""
    return short_text(distance) if distance == 0 or distance >= SMALLEST else f"under {SMALLEST:g}"


def _mean(history: History, time: Timeline) -> figure:
    keep = kept(history.distance)
    values = np.maximum(history.distance[keep], SMALLEST)
    # The line of near-copies is in sight, so that it can be seen how far away it is.
    shown = DataRange1d(start=min(float(values.min()), COPIES) / 1.5)
    made = frame(
        height=220, x_range=time.window, y_range=shown, y_axis_type="log", x_label=time.label, y_label="mean distance"
    )
    source = ColumnDataSource(
        {"x": time.ends[keep], "y": values, "generation": history.generation[keep].astype(np.int32)}
    )
    line = made.line("x", "y", source=source, line_color=_LINE, line_width=2.2)
    hover(made, [line], [("generation", "@generation"), ("mean distance", "@y{0.0000}")], mode="vline")
    made.add_layout(Span(location=COPIES, dimension="width", line_color=SOFT, line_dash="dashed"))
    if len(history.pairs) > 1:
        made.min_border_right = _BAR
    return made


def _heat_map(history: History, time: Timeline) -> figure:
    """A row for each pair, the first on top; a column for each stretch of time."""
    shown, start, end = columns(time.edges, limit=COLUMNS)
    cells = np.maximum(history.pair_distances[shown].T[::-1], SMALLEST).astype(np.float32)
    count = len(history.pairs)
    made = frame(
        height=int(np.clip(14 * count + 70, 110, 420)), x_range=time.window, x_label=time.label, y_range=(0, count)
    )
    made.min_border_right = _BAR
    without_y_axis(made)
    if count <= LABELLED:
        name_lanes(made, [f"{i} - {j}" for i, j in history.pairs], [count - index - 0.5 for index in range(count)])
    else:
        made.yaxis.visible = False
    finite = cells[np.isfinite(cells)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (SMALLEST, 1.0)
    mapper = LogColorMapper(palette=gradient(_HEAT, 128), low=low, high=max(high, low * 1.01), nan_color="#00000000")
    place: dict[str, Any] = {"x": start, "y": 0, "dw": end - start, "dh": count, "color_mapper": mapper}
    drawn = made.image(image=[cells], **place)
    hover(made, [drawn], [("distance", "@image{0.0000}")])
    bar = ColorBar(color_mapper=mapper, ticker=LogTicker(), width=8, padding=4, major_label_text_color=SOFT)
    bar.major_label_text_font, bar.background_fill_color = FONT, None
    bar.major_label_text_font_size, bar.bar_line_color = "11px", None
    made.add_layout(bar, "right")
    return made
