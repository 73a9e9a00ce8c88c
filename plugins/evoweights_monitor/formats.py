"""How numbers, durations and lists of individuals are written: in plain ASCII, which every terminal shows."""

import math
from collections.abc import Iterable


def loss_text(loss: float | None) -> str:
    """A loss with four decimals, in powers of ten where those would not do; ``-`` for None."""
    if loss is None:
        return "-"
    if loss == 0 or not math.isfinite(loss) or 1e-3 <= abs(loss) < 1e5:
        return f"{loss:.4f}"
    return f"{loss:.3e}"


def change_text(change: float | None) -> str:
    """As :func:`loss_text`, with a sign."""
    return f"+{loss_text(change)}" if change is not None and change > 0 else loss_text(change)


def duration_text(seconds: float | None) -> str:
    """``m:ss``, ``h:mm:ss`` or ``2d 3:04:05``; ``-`` for None."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if not days and not hours:
        return f"{minutes}:{rest:02d}"
    return f"{f'{days}d ' if days else ''}{hours}:{minutes:02d}:{rest:02d}"


def rate_text(per_second: float | None) -> str:
    """Whole units a second with thousands separated, one decimal below ten; ``-`` for None."""
    if per_second is None or not math.isfinite(per_second):
        return "-"
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.1f}"


def memory_text(count: int) -> str:
    """Bytes as MiB, or as GiB from one on."""
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def flops_text(count: int | None) -> str:
    """Floating-point operations in the unit that leaves one to three digits before the point; ``-`` for None."""
    if count is None:
        return "-"
    units = ("", "k", "M", "G", "T", "P", "E")
    value, power = float(count), 0
    while value >= 999.5 and power < len(units) - 1:
        value, power = value / 1000, power + 1
    return f"{value:.3g} {units[power]}FLOP"


def energy_text(joules: float) -> str:
    """Joules, or watt-hours from 100 kJ on."""
    return f"{joules:,.0f} J" if joules < 1e5 else f"{joules / 3600:,.1f} Wh"


def rows_text(rows: Iterable[int], individual: str) -> str:
    """``expert 3``, ``experts 0-2, 5`` or ``no expert``, if ``individual`` is expert."""
    ordered = sorted(set(rows))
    runs: list[list[int]] = []
    for row in ordered:
        if runs and runs[-1][1] == row - 1:
            runs[-1][1] = row
        else:
            runs.append([row, row])
    spans = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
    return f"{individual}{'' if len(ordered) == 1 else 's'} {spans}" if ordered else f"no {individual}"


def printable(text: str, encoding: str) -> str:
    """``text`` without control characters, ``?`` for what ``encoding`` cannot show. Line breaks stay."""
    visible = "".join(
        letter if letter.isprintable() or letter == "\n" else " " if letter.isspace() else "?" for letter in text
    )
    return visible.encode(encoding, "replace").decode(encoding)
