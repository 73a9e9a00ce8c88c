"""What a comparison says, in plain words."""

from collections.abc import Iterator, Sequence

from evoweights.comparing.comparison import Difference, Row


def verdict(row: Row, first: str) -> str:
    """What is known of a group beside the first one, at the whole budget."""
    found = row.points[-1].difference if row.points else None
    if found is None:
        return f"{row.label}: cannot be compared with {first} here"
    return f"{row.label}{words(found)}"


def remarks(rows: Sequence[Row], name: str) -> Iterator[str]:
    """What must be known of the rows of an axis; ``name`` is what it counts."""
    parts: dict[str, list[float]] = {}
    for row in rows:
        for label, part in row.parts.items():
            parts.setdefault(label, []).append(part)
    if parts:
        told = (f"{label} at {_range(each)}" for label, each in parts.items())
        # A learning rate that has not come down yet costs loss.
        yield f"compared before the end, in the middle of a schedule: {', '.join(told)} of its own {name}"
    if lacking := dict.fromkeys(label for row in rows for label in row.lacking):
        yield f"spent no {name}, or they are not known: {', '.join(lacking)}"


def _range(parts: Sequence[float]) -> str:
    low, high = f"{min(parts):.0%}", f"{max(parts):.0%}"
    return low if low == high else f"{low} to {high}"


def words(found: Difference) -> str:
    """A difference in words that go on a label: `` is lower by 0.031 (95 % interval 0.010 to 0.052, 3 seeds)``."""
    size, direction = f"{abs(found.mean):.4f}", "lower" if found.mean < 0 else "higher"
    if found.low is None or found.high is None:
        if found.mean == 0:
            return ": the same loss; one seed, so nothing can be said of chance"
        return f" is {direction} by {size}; one seed: no interval, so nothing can be said of chance"
    seeds = f"{found.seeds} seeds"
    if found.low <= 0 <= found.high:
        return f": no difference seen ({found.mean:+.4f}, 95 % interval {found.low:+.4f} to {found.high:+.4f}, {seeds})"
    ends = sorted((abs(found.low), abs(found.high)))
    return f" is {direction} by {size} (95 % interval {ends[0]:.4f} to {ends[1]:.4f}, {seeds})"


def is_settled(found: Difference | None) -> bool:
    """Whether a difference is beyond what chance would do in 19 of 20 cases."""
    return found is not None and found.low is not None and found.high is not None and not found.low <= 0 <= found.high
