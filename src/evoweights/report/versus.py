"""The pictures of several runs side by side: their losses over what they have spent, and what chance allows to say."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from bokeh.models import ColumnDataSource, Range1d
from bokeh.plotting import figure

from evoweights.comparing.comparison import Comparison, Row, compare
from evoweights.comparing.groups import Group, by_configuration
from evoweights.comparing.measured import AXES, read_run
from evoweights.comparing.verdicts import is_settled, remarks, verdict
from evoweights.errors import UsageError
from evoweights.report.numbers import count_scale, count_text, loss_text, plural, seconds_text, unit_text
from evoweights.report.picture import LeftOut, Picture, Swatch, Table
from evoweights.report.style import colours, frame, hover
from evoweights.report.thinning import kept


def versus_pictures(folders: Sequence[Path]) -> tuple[list[Picture | LeftOut], list[str]]:
    """Losses of runs over tokens, FLOPs and seconds, with the table of differences at equal budgets; and what must be known
    of the comparison."""
    try:
        groups = by_configuration([read_run(folder) for folder in folders])
        found = compare(groups)
    except UsageError as error:
        return [LeftOut("comparison", str(error))], []
    named = dict(zip((group.label for group in groups), colours(len(groups)), strict=True))
    shared = _losses(groups)
    pictures: list[Picture | LeftOut] = []
    for axis in AXES:
        known = [run for group in groups for run in group.runs if run.curves[axis].last is not None]
        name = found.names[axis]
        if known:
            pictures.append(_picture(axis, name, groups, found, named, shared))
        else:
            pictures.append(LeftOut(f"losses over {name}", "no run recorded them"))
    changes = [
        f"{label} differs from {found.first} in {', '.join(told)}." for label, told in found.changes.items() if told
    ]
    return pictures, [*changes, *(f"Note: {note}." for note in dict.fromkeys(found.notes))]


def _picture(
    axis: str, name: str, groups: Sequence[Group], found: Comparison, named: dict[str, str], shared: Range1d
) -> Picture:
    rows = found.rows.get(axis, ())
    verdicts = [verdict(row, found.first) for row in rows]
    title = f"At equal {name}: {verdicts[0]}" if len(verdicts) == 1 else f"Validation loss over {name}"
    notes = tuple(f"Note: {remark}." for remark in remarks(rows, name))
    swatches = tuple(Swatch(colour, _legend(group)) for group, colour in zip(groups, named.values(), strict=True))
    return Picture(
        f"versus-{axis}",
        title,
        f"Best validation loss over {name}. Each line is a run; runs that differ in their seed alone share a colour. Only what "
        "lies left of the shortest run's end is compared; in between, losses are interpolated. The fall of the first quarter may "
        "begin above the picture. Runs of equal seeds are subtracted from each other, so a "
        "difference need not be that of the means.",
        (_curves(axis, name, groups, named, shared),),
        swatches,
        (_table(axis, rows, found.first),),
        notes=(*(each for each in verdicts if len(verdicts) > 1), *notes),
    )


def _legend(group: Group) -> str:
    return group.label if len(group.runs) == 1 else f"{group.label} ({plural(len(group.runs), 'seed')})"


def _losses(groups: Sequence[Group]) -> Range1d:
    """The losses that all pictures show: of every run the later three quarters, because the first fall dwarfs the rest."""
    every = [run.curves[axis].losses for group in groups for run in group.runs for axis in AXES]
    late = [loss for losses in every for loss in losses[len(losses) // 4 :]]
    margin = 0.05 * (max(late) - min(late)) or 0.01
    return Range1d(start=min(late) - margin, end=max(late) + margin)


def _curves(axis: str, name: str, groups: Sequence[Group], named: dict[str, str], shared: Range1d) -> figure:
    largest = max(run.curves[axis].last or 0.0 for group in groups for run in group.runs)
    scale, word = (60.0, "minutes") if axis == "seconds" and largest > 300 else count_scale(largest)
    label = word if axis == "seconds" and scale == 60 else f"{word} {name}".strip()
    made = frame(height=320, x_label=label, y_label="best validation loss", y_range=shared)
    for group in groups:
        for run in group.runs:
            curve = run.curves[axis]
            losses = np.array(curve.losses)
            keep = kept(losses)
            source = ColumnDataSource({"x": np.array(curve.spent)[keep] / scale, "y": losses[keep]})
            line = made.line("x", "y", source=source, line_color=named[group.label], line_width=2, line_alpha=0.85)
            hover(made, [line], [(run.name, "@y{0.0000}"), (label, "@x{0.00}")])
    return made


def _table(axis: str, rows: Sequence[Row], first: str) -> Table:
    lines, tones = [], []
    for row in (each for each in rows if each.points):
        for point in row.points:
            change = point.difference
            known = change is not None and change.low is not None and change.high is not None
            lines.append(
                (
                    f"{row.label}, {point.share:.0%}",
                    _spent(axis, point.budget),
                    loss_text(point.first.mean if point.first else None),
                    loss_text(point.own.mean if point.own else None),
                    f"{change.mean:+.4f}" if change else "-",
                    f"{change.low:+.4f} to {change.high:+.4f}" if known and change else "-",
                )
            )
            tones.append(("good" if change.mean < 0 else "bad") if change and is_settled(change) else "")
    return Table(("beside " + first, "budget", first, "own", "difference", "95 % interval"), lines, tones)


def _spent(axis: str, spent: float) -> str:
    if axis == "seconds":
        return seconds_text(spent)
    return unit_text(spent, "FLOP") if axis == "flops" else count_text(spent)
