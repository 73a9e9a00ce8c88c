"""Decays of the weights beside the estimate: towards zero, and towards where the individual began."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from evoweights_es.perturbation import CHUNK
from evoweights_es.updates import Step, decay, rewrite_, shrink

if TYPE_CHECKING:
    from evoweights.genome import Segment
    from evoweights.homes.part import Part

ANCHOR, ANCHORED = "es.anchor", "es.anchored"
"""The slot that holds the weights of the start, and the counter that says that it does."""


def keep_start_(part: "Part") -> None:
    """Remember a part's weights, once."""
    if not part.counters.get(ANCHORED):
        part.slots[ANCHOR].copy_(part.weights)
        part.counters[ANCHORED] = 1


def towards_zero_(step: Step, strength: float) -> None:
    """``theta -= rate strength theta`` for matrices and embeddings; vectors (biases, norms) stay."""
    for segment, first, count in _pieces(step):
        if segment.role != "vector":
            scalars = {"share": step.rate * strength}
            rewrite_(decay, step.part, segment, first, {}, {}, scalars, step.rounding, step.place, count=count)


def towards_start_(step: Step, strength: float) -> None:
    """``theta -= rate strength (theta - theta_0)``. Source: anchored weight decay, arXiv 2605.30148."""
    for segment, first, count in _pieces(step):
        scalars, own = {"share": step.rate * strength}, {"target": step.part.slots[ANCHOR]}
        rewrite_(shrink, step.part, segment, first, own, {}, scalars, step.rounding, step.place, count=count)


def _pieces(step: Step) -> "Iterator[tuple[Segment, int, int]]":
    for segment in step.perturbation.segments(step.part):
        for first in range(0, segment.count, CHUNK):
            yield segment, first, min(CHUNK, segment.count - first)
