"""The picture of who was rewritten from whom, and how often."""

from collections import Counter
from typing import Any

from bokeh.models import ColumnDataSource, FixedTicker
from bokeh.plotting import figure

from evoweights.report.facts import RunFacts
from evoweights.report.history import History
from evoweights.report.picture import LeftOut, Picture
from evoweights.report.style import GRID, colours, frame, hover, name_lanes

EVEN = 1.5
"""Times its even share up to which an individual is no leader."""
COUNTED = 24
"""Individuals up to which sources are counted one by one."""
_WHAT = "who was rewritten from whom"


def sources_picture(history: History, facts: RunFacts) -> Picture | LeftOut | None:
    """How often each individual was written from each; None where the family tree says it all."""
    if not history.rewritings or history.size < 3:
        return None
    if history.size > COUNTED:
        return LeftOut(_WHAT, f"there are more than {COUNTED} {facts.individual}s")
    counts = Counter((each.row, source) for each in history.rewritings for source in each.sources if source != each.row)
    if not counts:
        return LeftOut(_WHAT, f"no {facts.individual} was written from another")
    hint = "A dark column is a leader from whom all the others are written; an even pattern keeps differences alive."
    return Picture("sources", _title(counts, history, facts), hint, (_squares(counts, history.size),), is_wide=False)


def _title(counts: Counter[tuple[int, int]], history: History, facts: RunFacts) -> str:
    given: Counter[int] = Counter()
    for (_, source), times in counts.items():
        given[source] += times
    giver, times = given.most_common(1)[0]
    share = times / given.total()
    if share < EVEN / history.size:
        return f"All {facts.individual}s were sources about equally often"
    return f"{facts.individual.capitalize()} {giver} was the source of {share:.0%} of all rewritings"


def _squares(counts: Counter[tuple[int, int]], size: int) -> figure:
    """A square for each pair, the stronger the more often."""
    cells = [(row, source, counts[row, source]) for row in range(size) for source in range(size) if row != source]
    rows, sources, times = (list(part) for part in zip(*cells, strict=True))
    made = frame(height=300, x_label="source", y_label="rewritten", y_range=(size - 0.5, -0.5))
    shares = [each / max(times) for each in times]
    data = ColumnDataSource({"row": rows, "source": sources, "times": times, "share": shares})
    shape: dict[str, Any] = {"width": 0.92, "height": 0.92, "border_radius": 3, "line_color": GRID}
    drawn = made.rect("source", "row", source=data, fill_color=colours(1)[0], fill_alpha="share", **shape)
    hover(made, [drawn], [("rewritten", "@row"), ("source", "@source"), ("times", "@times")])
    named = range(0, size, max(1, size // 12))
    name_lanes(made, [str(row) for row in named], named)
    for axis in made.xaxis:
        axis.ticker = FixedTicker(ticks=list(named))
    made.ygrid.grid_line_color = None
    return made
