"""The picture of what switching from one individual to the next costs."""

import numpy as np
from bokeh.models import ColumnDataSource, Span

from evoweights.report.facts import RunFacts
from evoweights.report.history import History
from evoweights.report.picture import LeftOut, Picture, Swatch
from evoweights.report.style import CROWD, INK, NAMED, SOFT, colours, frame, hover, running_median
from evoweights.report.thinning import kept
from evoweights.report.timeline import Timeline

QUARTER = 4
FEW = 5
"""Switches in a quarter under which its median says nothing."""


def switching_picture(history: History, facts: RunFacts, time: Timeline) -> Picture | LeftOut:
    """The loss jump at every switch: first loss of a turn minus the last ones of the turn before."""
    turns = history.turns
    known = np.flatnonzero(np.isfinite(turns.jump))
    if history.size < 2:
        return LeftOut("loss jumps at switches", f"there is only one {facts.individual}")
    if not len(known):
        return LeftOut("loss jumps at switches", "nothing was trained in turns")
    jumps, rows = turns.jump[known], turns.row[known]
    x = time.ends[history.at(turns.generation[known])]
    made = frame(height=260, x_range=time.window, x_label=time.label, y_label="change of training loss")
    made.add_layout(Span(location=0, dimension="width", line_color=SOFT, line_width=1))
    named = colours(history.size)
    for row in range(history.size) if history.size <= NAMED else [None]:
        own = np.ones(len(rows), dtype=bool) if row is None else rows == row
        keep = kept(np.where(own, jumps, np.nan))
        source = ColumnDataSource(
            {
                "x": x[keep],
                "y": jumps[keep],
                "row": rows[keep].astype(np.int32),
                "generation": turns.generation[known][keep].astype(np.int32),
            }
        )
        style = {"color": SOFT if row is None else named[row], "size": 6 if len(known) <= CROWD else 3}
        dots = made.scatter("x", "y", source=source, alpha=0.75, name=f"row-{row}", **style)
        hover(made, [dots], [(facts.individual, "@row"), ("generation", "@generation"), ("jump", "@y{+0.0000}")])
    swatches = []
    if len(known) > CROWD:
        running_median(made, x, jumps)
        swatches = [Swatch(INK, "running median")]
    return Picture("jumps", _title(jumps), _hint(facts), (made,), tuple(swatches), is_wide=False)


def _title(jumps: np.ndarray) -> str:
    part = len(jumps) // QUARTER
    if part < FEW:
        return f"Switching moved the training loss by {np.median(jumps):+.3f} (median)"
    early, late = float(np.median(jumps[:part])), float(np.median(jumps[-part:]))
    return f"Switching moved the training loss by {early:+.3f} at first, {late:+.3f} at last"


def _hint(facts: RunFacts) -> str:
    return (
        f"First loss of a turn minus the mean of the last three of the turn before. Jumps that vanish mean that the next "
        f"{facts.individual} goes on where the last one stopped: the {facts.individual}s have become one model."
    )
