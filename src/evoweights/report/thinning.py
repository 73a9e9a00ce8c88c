"""Fewer points that look the same: what is kept of long series."""

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

POINTS = 2000
"""Points of a line, about. A screen shows fewer columns."""


def kept(values: "NDArray[np.float64]", *, limit: int = POINTS) -> "NDArray[np.int64]":
    """Positions of the finite values to draw, ascending, at most ``limit`` (4 or more).

    Of every stretch the first, the last, the lowest and the highest stay, so no peak is lost.
    """
    finite = np.flatnonzero(np.isfinite(values))
    if len(finite) <= limit:
        return finite
    keep: set[int] = set()
    for stretch in np.array_split(finite, limit // 4):
        part = values[stretch]
        keep.update((int(stretch[0]), int(stretch[-1]), int(stretch[part.argmin()]), int(stretch[part.argmax()])))
    return np.array(sorted(keep), dtype=np.int64)


def evenly(values: "NDArray[np.float64]", *, limit: int) -> "NDArray[np.float64]":
    """At most ``limit`` of the finite values, ascending and distributed as all of them, with the lowest and the highest."""
    ordered = np.sort(values[np.isfinite(values)])
    return ordered[np.linspace(0, len(ordered) - 1, min(len(ordered), limit)).round().astype(np.int64)]


def columns(edges: "NDArray[np.float64]", *, limit: int) -> tuple["NDArray[np.int64]", float, float]:
    """An even grid over what lies between ascending ``edges``: which interval is shown in each of its columns, at most
    ``limit``, and where the grid begins and ends. Interval k is from ``edges[k]`` to ``edges[k + 1]``."""
    start, end = float(edges[0]), float(edges[-1])
    count = max(1, min(limit, 8 * (len(edges) - 1)))
    centres = start + (np.arange(count) + 0.5) * (end - start) / count
    return np.clip(np.searchsorted(edges, centres, side="right") - 1, 0, len(edges) - 2), start, end


def stretches(count: int, *, limit: int) -> list[slice]:
    """``count`` positions in at most ``limit`` neighbouring slices of about the same length."""
    bounds = np.linspace(0, count, min(count, limit) + 1).round().astype(int)
    return [slice(int(a), int(b)) for a, b in pairwise(bounds)]
