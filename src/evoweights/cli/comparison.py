"""How a comparison is written: tables, and what they say in plain words."""

import io
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from evoweights.cli.output import WIDE, say
from evoweights.cli.units import duration_text

if TYPE_CHECKING:
    from rich.table import Table

    from evoweights.comparing.comparison import Comparison, Difference, Row


def say_comparison(comparison: "Comparison") -> None:
    """Write a comparison for people."""
    from evoweights.comparing.verdicts import remarks, verdict

    for label, end in comparison.ends.items():
        say(f"{label}: validation loss {end.mean:.4f} at the end ({_seeds(end.seeds, end.deviation)})")
        for change in comparison.changes.get(label, ()):
            say(f"    {change}")
    for axis, rows in comparison.rows.items():
        if not rows:
            continue
        say()
        say(
            f"Validation loss at equal {comparison.names[axis]}, and differences to {comparison.first} (lower is better)",
            bold=True,
        )
        known = tuple(row for row in rows if row.points)
        for line in _lines(_table(comparison, axis, known)) if known else ():
            say(line)
        for row in known:
            say(f"  {verdict(row, comparison.first)}")
        for remark in remarks(rows, comparison.names[axis]):
            say(f"  note: {remark}")
    if comparison.notes:
        say()
    for note in dict.fromkeys(comparison.notes):
        say(f"note: {note}")


def as_json(comparison: "Comparison") -> dict[str, Any]:
    """A comparison as JSON values, with the verdicts."""
    from evoweights.comparing.verdicts import verdict

    values = asdict(comparison)
    for axis, rows in comparison.rows.items():
        for shown, row in zip(values["rows"][axis], rows, strict=True):
            shown["verdict"] = verdict(row, comparison.first)
    return values


def _table(comparison: "Comparison", axis: str, rows: "tuple[Row, ...]") -> "Table":
    from rich.table import Table

    from evoweights.comparing.comparison import SHARES

    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("runs", no_wrap=True)
    shares = [f"{share:.0%}" for share in SHARES]
    for heading in (comparison.names[axis], comparison.first, "loss", *shares, "95 % interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        end = row.points[-1]
        losses = [f"{each.mean:.4f}" if each else "-" for each in (end.first, end.own)]
        changes = [f"{each.difference.mean:+.4f}" if each.difference else "-" for each in row.points]
        table.add_row(row.label, _spent_text(axis, end.budget), *losses, *changes, _interval_text(end.difference))
    return table


def _spent_text(axis: str, spent: float) -> str:
    if axis == "seconds":
        return duration_text(spent)
    return f"{spent:.3e}" if axis == "flops" else f"{spent:,.0f}"


def _interval_text(found: "Difference | None") -> str:
    if found is None or found.low is None or found.high is None:
        return "-"
    return f"{found.low:+.4f} to {found.high:+.4f}"


def _seeds(count: int, deviation: float | None) -> str:
    return "1 seed" if deviation is None else f"{count} seeds, standard deviation {deviation:.4f}"


def _lines(table: "Table") -> Iterator[str]:
    from rich.console import Console

    text = io.StringIO()
    Console(file=text, width=WIDE, no_color=True, markup=False, emoji=False).print(table)
    for line in text.getvalue().splitlines():
        yield f"  {line.rstrip()}"
