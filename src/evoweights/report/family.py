"""The family tree: a lane for each place in the population, coloured by the lines of descent that meet in it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, Range1d
from bokeh.plotting import figure
from numpy.typing import NDArray

from evoweights.report.ancestry import Life, are_blended, at_the_end, blended_by, lives_of
from evoweights.report.facts import RunFacts
from evoweights.report.history import History, Rewriting
from evoweights.report.numbers import plural
from evoweights.report.picture import LeftOut, Picture
from evoweights.report.style import INK, NAMED, PAPER, colours, frame, hex_of, hover, name_lanes, rgb, without_y_axis
from evoweights.report.thinning import columns
from evoweights.report.timeline import Timeline

SINGLE = 400
"""Rewritings up to which each is drawn; of more, only the colours of the lanes are."""
LANES = 48
"""Lanes of a tree; of more individuals an even choice is shown."""
COLUMNS = 600


def family_picture(history: History, facts: RunFacts, time: Timeline) -> Picture | LeftOut:
    """A lane for each row, coloured by the blend of first individuals that lives in it."""
    if history.size < 2:
        return LeftOut("family tree", f"there is only one {facts.individual}")
    if not history.rewritings:
        return LeftOut("family tree", f"no {facts.individual} was ever rewritten")
    lives = lives_of(history, [rgb(each) for each in colours(history.size)])
    until = _interesting_until(history, lives)
    shown = [life for life in lives if until is None or life.born <= until]
    is_single = history.size <= LANES and len(shown) <= SINGLE + history.size
    made = _frame(history, time, until)
    if is_single:
        _branches(made, time, shown)
        _capsules(made, facts, time, shown)
        _star(made, history, facts, time, until)
    else:
        _painted(made, history.size, time.edges if until is None else time.edges[: until + 2], lives)
    hint = (
        f"A lane is a place in the population, its colour the blend of first {facts.individual}s whose line lives there "
        "(parents count in equal parts, whatever an operator took of them). One colour everywhere is one family."
    )
    if is_single:
        hint += " A branch comes from whom a life was written from; a star is the best of the run."
    if until is not None:
        hint += (
            f" Only the beginning is drawn, to generation {history.generation[until]}: by then all are of one blend."
        )
    return Picture("family", _title(history, facts, at_the_end(lives)), hint, (made,))


def _interesting_until(history: History, lives: Sequence[Life]) -> int | None:
    """The entry of the history with which the picture of a long run ends, somewhat after all are of one blend; None: the
    last."""
    blended = blended_by(lives, history.size) if len(history.rewritings) > SINGLE else None
    if blended is None or blended > len(history.generation) // 4:
        return None
    return min(blended + 2 + blended // 2, len(history.generation) - 1)


def _title(history: History, facts: RunFacts, living: Sequence[Life]) -> str:
    alive = frozenset().union(*(life.founders for life in living))
    first = f"{len(alive)} of {history.size} first {facts.individual}s have descendants"
    title = f"{plural(len(history.rewritings), 'rewriting')}; {first}"
    return f"{title}, all of one blend" if are_blended(living) else title


def _frame(history: History, time: Timeline, until: int | None) -> figure:
    lanes = min(history.size, LANES)
    window = time.window if until is None else Range1d(start=float(time.edges[0]), end=float(time.edges[until + 1]))
    made = frame(
        height=int(np.clip(34 * lanes + 60, 130, 520)),
        x_range=window,
        x_label=time.label,
        y_range=(history.size - 0.4, -0.6),
    )
    without_y_axis(made)
    lanes = range(0, history.size, max(1, -(-history.size // LANES)))
    name_lanes(made, [str(row) for row in lanes], lanes)
    return made


def _capsules(made: figure, facts: RunFacts, time: Timeline, lives: Sequence[Life]) -> None:
    """Every life as a bar."""
    shown = [life for life in lives if life.ended > life.born]
    source = ColumnDataSource(
        {
            "left": [float(time.edges[life.born + 1]) for life in shown],
            "right": [float(time.edges[life.ended + 1]) for life in shown],
            "row": [life.row for life in shown],
            "colour": [hex_of(life.colour) for life in shown],
            "who": [f"{facts.individual} {life.row}, id {life.id}" for life in shown],
            "how": [_how(life.of, facts) for life in shown],
        }
    )
    shape: dict[str, Any] = {"y": "row", "height": 0.42, "left": "left", "right": "right", "border_radius": 4}
    bars = made.hbar(source=source, fill_color="colour", line_color=PAPER, line_width=1.5, **shape)
    hover(made, [bars], [("", "@who"), ("", "@how")])


def _how(event: Rewriting | None, facts: RunFacts) -> str:
    if event is None:
        return "first individual"
    names = " + ".join(label.partition("-")[2] or label for label in event.operators)
    others = [row for row in event.sources if row != event.row]
    return f"generation {event.generation}: {names}" + (
        f" from {facts.individual} {', '.join(map(str, others))}" if others else ""
    )


def _branches(made: figure, time: Timeline, lives: Sequence[Life]) -> None:
    """A curve from each source to who was written, in the source's colour; it takes the generation in which it happened."""
    by_id = {life.id: life for life in lives}
    found = [
        (life, by_id[parent])
        for life in lives
        for parent in (life.of.parents if life.of else ())
        if parent in by_id and by_id[parent].row != life.row
    ]
    if not found:
        return
    x0 = np.array([float(time.edges[child.born]) for child, _ in found])
    x1 = np.array([float(time.edges[child.born + 1]) for child, _ in found])
    y0, y1 = (np.array([float(each.row) for each in side]) for side in zip(*[(p, c) for c, p in found], strict=True))
    middle = (x0 + x1) / 2
    tints = [hex_of(parent.colour) for _, parent in found]
    made.bezier(x0, y0, x1, y1, middle, y0, middle, y1, line_color=tints, line_width=2, line_alpha=0.7)


def _star(made: figure, history: History, facts: RunFacts, time: Timeline, until: int | None) -> None:
    row, generation = facts.best.get("row"), facts.best.get("generation")
    last = int(history.generation[-1 if until is None else until])
    if isinstance(row, int) and isinstance(generation, int) and 0 <= generation <= last:
        x = float(time.ends[history.at([generation])[0]])
        made.scatter([x], [row], marker="star", size=16, fill_color="#ffd84d", line_color=INK, line_width=1)


def _painted(made: figure, size: int, edges: NDArray[np.float64], lives: Sequence[Life]) -> None:
    """The colour of every lane in every stretch of time, as an image."""
    shown, start, end = columns(edges, limit=COLUMNS)
    rows = list(range(0, size, max(1, -(-size // LANES))))
    place = {row: index for index, row in enumerate(rows)}
    cells = np.zeros((len(rows), len(shown), 4), dtype=np.uint8)
    cells[:, :, 3] = 255
    for life in lives:
        if life.row in place:
            first, last = np.searchsorted(shown, [life.born + 1, life.ended + 1])
            cells[place[life.row], first:last, :3] = [round(each) for each in life.colour]
    image: Any = cells.view(np.uint32).reshape(len(rows), len(shown))
    made.image_rgba(image=[image], x=start, y=-0.5, dw=end - start, dh=size)
    gaps = np.arange(1, len(rows)) * size / len(rows) - 0.5
    made.segment(start, gaps, end, gaps, line_color=PAPER, line_width=5 if len(rows) <= NAMED else 1)
