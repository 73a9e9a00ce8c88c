"""The pictures of what a run costs: seconds by phase, speed, and the ledger."""

import math

import numpy as np
from bokeh.models import ColumnDataSource, DataRange1d
from bokeh.plotting import figure

from evoweights.report.facts import RunFacts
from evoweights.report.history import History
from evoweights.report.numbers import count_text, seconds_text, unit_text
from evoweights.report.picture import LeftOut, Picture, Swatch, Table
from evoweights.report.style import frame, hover
from evoweights.report.thinning import stretches
from evoweights.report.timeline import Timeline

BARS = 120
"""Bars of the picture at most; of longer runs each is the mean of several generations."""
_COLOURS = {
    "improve": "#7391bd",
    "vary": "#d59a6a",
    "credit": "#a996cf",
    "evaluate": "#86b59b",
    "checkpoint": "#d4bb62",
}
_OTHER = "#9a9a9a"


def spending_picture(history: History, facts: RunFacts, time: Timeline) -> Picture | LeftOut:
    """Seconds of a generation by phase over the run, and the sums of the ledger."""
    phases = _phases(history)
    if not phases:
        return LeftOut("seconds by phase", "none were recorded")
    sums = {phase: float(np.nansum(history.seconds[phase])) for phase in phases}
    total = math.fsum(sums.values())
    named = {phase: _COLOURS.get(phase, _OTHER) for phase in phases}
    swatches = tuple(
        Swatch(named[phase], f"{phase} {seconds_text(sums[phase])} ({_share(sums[phase] / total)})" if total else phase)
        for phase in phases
    )
    most = max(phases, key=lambda phase: sums[phase])
    title = f"{sums[most] / total:.0%} of {seconds_text(total)} went into {most}" if total else "No time was measured"
    hint = "Seconds of a generation by phase. A bar that sticks out is a slow disk, a busy machine, or a compilation."
    return Picture("spending", title, hint, (_bars(history, time, named),), swatches, is_wide=False)


def _share(part: float) -> str:
    return f"{part:.0%}" if part >= 0.005 else "under 1%"


def _phases(history: History) -> list[str]:
    found = [phase for phase, seconds in history.seconds.items() if np.nansum(seconds) > 0]
    order = [*_COLOURS, *sorted(found)]
    return sorted(found, key=order.index)


def _bars(history: History, time: Timeline, named: dict[str, str]) -> figure:
    parts = stretches(len(history.generation), limit=BARS)
    means = {phase: np.array([np.nan_to_num(history.seconds[phase][part]).mean() for part in parts]) for phase in named}
    first, last = np.array([part.start for part in parts]), np.array([part.stop - 1 for part in parts])
    edges = {"left": time.starts[first], "right": time.ends[last]}
    made = frame(
        height=230,
        x_range=time.window,
        y_range=DataRange1d(start=0),
        x_label=time.label,
        y_label="seconds a generation",
    )
    bottom = np.zeros(len(parts))
    for phase, colour in named.items():
        top = bottom + means[phase]
        source = ColumnDataSource({**edges, "bottom": bottom, "top": top, "seconds": means[phase]})
        bars = made.quad(
            left="left", right="right", bottom="bottom", top="top", source=source, fill_color=colour, line_color=None
        )
        hover(made, [bars], [(phase, "@seconds{0.000} s")])
        bottom = top
    return made


def ledger_picture(history: History, facts: RunFacts) -> Picture:
    """The sums at the end; without a ledger what is known all the same."""
    last = {key: _last(values) for key, values in history.ledger.items()}
    tokens = last.get("tokens") or float(history.tokens[-1])
    seconds = history.seconds.get("improve")
    training = float(np.nansum(seconds)) if seconds is not None else 0.0
    rows = [(f"{facts.unit} trained on", count_text(tokens))]
    if training > 0 and tokens > 0:
        rows.append((f"{facts.unit} a second of training", count_text(tokens / training)))
    for key, name, unit in (
        ("flops", "arithmetic of training", "FLOP"),
        ("evaluation_flops", "arithmetic of evaluation", "FLOP"),
        ("bytes_moved", "moved between homes", "B"),
        ("peak_memory_bytes", "peak memory", "B"),
        ("joules", "energy", "J"),
    ):
        rows.append((name, unit_text(value, unit) if (value := last.get(key)) is not None else "not recorded"))
    hint = "What the run has cost up to here. Operators, which take a few operations a gene, are not in the arithmetic."
    return Picture("ledger", "The ledger", hint, tables=(Table((), rows),), is_wide=False)


def _last(values: np.ndarray) -> float | None:
    known = np.flatnonzero(np.isfinite(values))
    # What is unknown at the end is unknown of the run, however much was known before.
    return float(values[-1]) if len(known) and known[-1] == len(values) - 1 else None
