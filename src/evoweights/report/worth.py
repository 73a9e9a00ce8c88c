"""The picture of what operators are worth: the loss just before and just after each of their applications."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from bokeh.models import ColumnDataSource, Range1d, Span
from bokeh.plotting import figure

from evoweights.ledger.credit import OperatorCredit, credit_of
from evoweights.report.facts import RunFacts
from evoweights.report.history import History
from evoweights.report.numbers import loss_text
from evoweights.report.picture import LeftOut, Picture, Swatch, Table
from evoweights.report.style import (
    BAD,
    CROWD,
    GOOD,
    INK,
    SOFT,
    frame,
    hover,
    name_lanes,
    running_median,
    without_y_axis,
)
from evoweights.report.thinning import evenly, kept
from evoweights.report.timeline import Timeline

if TYPE_CHECKING:
    from numpy.typing import NDArray

DOTS = 500
"""Applications of an operator that are drawn as dots."""
STRIP_LEFT = 110
"""Pixels at the left, for the names of operators."""
CUT = 0.02
"""Share of the widest changes, on each side, beyond which the picture may end."""


def credit_picture(history: History, facts: RunFacts, time: Timeline) -> Picture | LeftOut:
    """The changes of loss that each operator made: their mean with its interval, every single one, and their course."""
    credits = credit_of({"operators": each.operators, "losses": each.losses} for each in history.rewritings)
    if not credits:
        why = "losses before and after operators were not recorded" if history.rewritings else "no operator was applied"
        return LeftOut("gain per operator", why)
    changes = _changes(history)
    made = _strips(credits, {label: each[1] for label, each in changes.items()})
    course = _course(history, time, facts)
    rows = [_row(each) for each in credits]
    tones = [{"helps": "good", "hurts": "bad"}.get(each.verdict, "") for each in credits]
    table = Table(("operator", "applied", "mean change", "95 % interval", "spread", "verdict"), rows, tones)
    hint = (
        f"The change of one {facts.individual}'s loss on a fixed small batch, right where an operator rewrote it: left of 0 "
        "helps. The bar is the 95 % interval of the mean; below, the change of each rewriting over the run, with a running "
        "median where there are many. An operator that hurts at once may still pay off later: compare with a control."
    )
    swatches = (Swatch(GOOD, "loss went down"), Swatch(BAD, "loss went up"))
    return Picture("credit", _title(credits), hint, (made, course), swatches, (table,))


def operator_name(label: str) -> str:
    """``pso`` of ``0-pso``: a label is the operator's place in the configuration and its name."""
    place, dash, name = label.partition("-")
    return name if dash and place.isdecimal() else label


def _title(credits: Sequence[OperatorCredit]) -> str:
    verdicts: dict[str, list[str]] = {}
    for each in credits:
        verdicts.setdefault(each.verdict, []).append(f"{operator_name(each.operator)} ({_signed(each.mean)})")
    parts = []
    for verdict, names in verdicts.items():
        who = " and ".join(names)
        if verdict in ("helps", "hurts"):
            parts.append(f"{who} {verdict if len(names) == 1 else verdict[:-1]}")
        else:
            parts.append(f"{who}: {verdict}")
    return "Right after it is applied, " + "; ".join(parts)


def _row(credit: OperatorCredit) -> tuple[str, ...]:
    interval = "-" if credit.low is None or credit.high is None else f"{_signed(credit.low)} to {_signed(credit.high)}"
    return (
        *(operator_name(credit.operator), f"{credit.applications:,}", _signed(credit.mean)),
        *(interval, loss_text(credit.spread), credit.verdict),
    )


def _signed(change: float) -> str:
    """A change of loss with its sign, and digits enough to tell a small one from none."""
    return f"{change:+.4f}" if abs(change) >= 1e-3 else f"{change:+.2g}"


def _changes(history: History) -> dict[str, "tuple[NDArray[np.int64], NDArray[np.float64]]"]:
    """By operator: the generation of each application, and the change that it made."""
    found: dict[str, list[tuple[int, float]]] = {}
    for each in history.rewritings:
        for label, (before, after) in zip(each.operators, pairwise(each.losses or ()), strict=False):
            found.setdefault(label, []).append((each.generation, after - before))
    return {
        label: (np.array([g for g, _ in pairs], dtype=np.int64), np.array([change for _, change in pairs]))
        for label, pairs in found.items()
    }


def _strips(credits: Sequence[OperatorCredit], changes: "dict[str, NDArray[np.float64]]") -> figure:
    """A strip for each operator: a dot for each application, and the mean with its interval."""
    made = frame(
        height=90 + 54 * len(credits),
        x_range=_where_most_are(np.concatenate([changes[each.operator] for each in credits])),
        y_range=(len(credits) - 0.4, -0.6),
        x_label="change of loss",
    )
    made.min_border_left = STRIP_LEFT
    without_y_axis(made)
    made.add_layout(Span(location=0, dimension="height", line_color=SOFT, line_width=1))
    for place, credit in enumerate(credits):
        values = evenly(changes[credit.operator], limit=DOTS)
        # A golden-ratio sequence spreads the dots evenly, and the same way each time.
        spread = place + 0.5 * (np.arange(len(values)) * 0.618034 % 1 - 0.5)
        tints = [GOOD if each < 0 else BAD for each in values]
        made.scatter(values, spread, color=tints, size=5, alpha=0.45)
        if credit.low is not None and credit.high is not None:
            made.segment([credit.low], [place], [credit.high], [place], line_color=INK, line_width=5)
    source = ColumnDataSource(
        {
            "x": [each.mean for each in credits],
            "y": list(range(len(credits))),
            "who": [operator_name(each.operator) for each in credits],
        }
    )
    dots = made.scatter("x", "y", source=source, size=11, fill_color=INK, line_color=None)
    hover(made, [dots], [("operator", "@who"), ("mean change", "@x{+0.0000}")])
    name_lanes(made, [operator_name(each.operator) for each in credits])
    return made


def _where_most_are(changes: "NDArray[np.float64]") -> Range1d:
    finite = changes[np.isfinite(changes)]
    cut = CUT if len(finite) > CROWD else 0.0
    low, high = (float(each) for each in np.quantile(finite, [cut, 1 - cut]))
    low, high = min(low, 0.0), max(high, 0.0)
    margin = 0.15 * max(high - low, 1e-9)
    return Range1d(start=low - margin, end=high + margin)


def _course(history: History, time: Timeline, facts: RunFacts) -> figure:
    """The change that every rewriting made, all its operators together, over the run."""
    made = frame(height=220, x_range=time.window, x_label=time.label, y_label="change of loss")
    made.min_border_left = STRIP_LEFT
    made.add_layout(Span(location=0, dimension="width", line_color=SOFT, line_width=1))
    measured = [each for each in history.rewritings if each.losses]
    before = np.array([each.losses[0] for each in measured if each.losses])
    after = np.array([each.losses[-1] for each in measured if each.losses])
    keep, x = kept(after - before), time.ends[history.at([each.generation for each in measured])]
    source = ColumnDataSource(
        {
            "x": x[keep],
            "before": before[keep],
            "after": after[keep],
            "change": (after - before)[keep],
            "row": np.array([each.row for each in measured], dtype=np.int32)[keep],
            "tint": [GOOD if change < 0 else BAD for change in (after - before)[keep]],
        }
    )
    width = 2.5 if len(keep) <= CROWD else 1
    made.segment("x", 0, "x", "change", source=source, line_color="tint", line_width=width, line_alpha=0.8)
    dots = made.scatter("x", "change", source=source, color="tint", size=width + 2.5)
    tips = [(facts.individual, "@row"), ("loss before", "@before{0.0000}"), ("loss after", "@after{0.0000}")]
    hover(made, [dots], tips)
    known = np.isfinite(after - before)
    if known.sum() > CROWD:
        running_median(made, x[known], (after - before)[known])
    return made
