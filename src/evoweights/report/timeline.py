"""The x axis that all pictures of a run share: what it has been trained on, or its generations."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from bokeh.models import Range1d

from evoweights.report.facts import RunFacts
from evoweights.report.history import History
from evoweights.report.numbers import count_scale

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Timeline:
    """Where generations lie: the k-th of a history from ``edges[k]`` to ``edges[k + 1]``; ``window`` is shared by all
    pictures, so that zooming into one zooms into all."""

    label: str
    edges: "NDArray[np.float64]"
    window: Range1d

    @property
    def ends(self) -> "NDArray[np.float64]":
        """Where each generation ends."""
        return self.edges[1:]

    @property
    def starts(self) -> "NDArray[np.float64]":
        """Where each generation begins."""
        return self.edges[:-1]


def timeline_of(history: History, facts: RunFacts) -> Timeline:
    """Tokens (or what the task counts) where every generation has trained on some, else generations."""
    edges = np.concatenate([[0.0], history.tokens])
    if history.generation[0] > 0 and len(edges) > 2:  # the beginning is not in the record
        edges[0] = max(0.0, 2 * edges[1] - edges[2])
    if np.isfinite(edges).all() and (np.diff(edges) > 0).all():
        scale, word = count_scale(float(edges[-1]))
        label = f"{word} {facts.unit}".strip()
        edges = edges / scale
    else:
        label = "generations"
        edges = np.concatenate([[float(history.generation[0])], history.generation + 1.0])
    margin = 0.01 * (edges[-1] - edges[0])
    start, end = float(edges[0] - margin), float(edges[-1] + margin)
    return Timeline(label, edges, Range1d(start=start, end=end, bounds=(start, end)))
