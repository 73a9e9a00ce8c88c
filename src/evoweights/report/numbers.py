"""How the report writes numbers: short, with the unit that leaves one to three digits before the point."""

import math

_STEPS = ("", "thousand", "million", "billion", "trillion")
_PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z")


def loss_text(loss: float | None) -> str:
    """A loss with four decimals, in powers of ten where those would not do; a dash if it is unknown."""
    if loss is None or not math.isfinite(loss):
        return "-"
    if loss == 0 or 1e-3 <= abs(loss) < 1e5:
        return f"{loss:.4f}"
    return f"{loss:.2e}"


def short_text(value: float) -> str:
    """Three digits, as in ``0.00584``, ``1.36`` or ``4.2e-07``."""
    return f"{value:.3g}"


def count_text(count: float | None) -> str:
    """A number of things, as in ``812``, ``2.46 million`` or ``12.0 billion``; a dash if it is unknown."""
    if count is None or not math.isfinite(count):
        return "-"
    scale, word = count_scale(count)
    return f"{count:,.0f}" if scale < 1e6 else f"{count / scale:.3g} {word}"


def count_scale(largest: float) -> tuple[float, str]:
    """What to divide numbers up to ``largest`` by, and the word for it."""
    power = 0
    while power + 1 < len(_STEPS) and largest >= 1000 ** (power + 1):
        power += 1
    return 1000.0**power, _STEPS[power]


def unit_text(value: float | None, unit: str) -> str:
    """A value in a unit with a prefix, as in ``3.71 TFLOP`` or ``640 MB``; a dash if it is unknown."""
    if value is None or not math.isfinite(value):
        return "-"
    power, rest = 0, value
    while abs(rest) >= 1000 and power + 1 < len(_PREFIXES):
        power, rest = power + 1, rest / 1000
    digits = f"{rest:.0f}" if power == 0 or abs(rest) >= 100 else f"{rest:.3g}"
    return f"{digits} {_PREFIXES[power]}{unit}"


def seconds_text(seconds: float | None) -> str:
    """``0.34 s``, ``12 s``, ``5 min 3 s``, ``7 h 12 min`` or ``2 d 4 h``; a dash if it is unknown."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if seconds < 10:
        return f"{seconds:.2g} s"
    return whole_seconds_text(round(seconds))


def whole_seconds_text(seconds: int) -> str:
    """``12 s``, ``5 min 3 s``, ``7 h 12 min`` or ``2 d 4 h``."""
    for size, unit, part, part_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            rest = seconds % size // part
            return f"{seconds // size} {unit}" + (f" {rest} {part_unit}" if rest else "")
    return f"{seconds} s"


def plural(count: int, word: str) -> str:
    """``1 expert``, ``12 experts``, ``2 entries``."""
    if count == 1:
        return f"1 {word}"
    many = f"{word[:-1]}ies" if word.endswith("y") and word[-2:-1] not in "aeiou" else f"{word}s"
    return f"{count:,} {many}"
