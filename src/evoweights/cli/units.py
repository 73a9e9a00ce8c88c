"""How sizes and durations are written on the command line."""

from evoweights.report.numbers import whole_seconds_text


def size_text(count: int) -> str:
    """Bytes in a unit that leaves one to four digits, as in ``1.50 GB`` (a kB is 1,000 bytes)."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f} B" if units[0] == "B" else f"{value:.3g} {units[0]}"


def duration_text(seconds: float) -> str:
    """Seconds as ``80 us``, ``340 ms``, ``5.0 s``, ``5 min 3 s``, ``7 h 12 min`` or ``2 d 4 h``."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} us"
    if seconds < 10:
        return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
    return whole_seconds_text(round(seconds))
