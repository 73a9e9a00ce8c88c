"""Decays of the weights beside the estimate: towards zero, and towards where the individual began."""

from typing import TYPE_CHECKING

from evoweights_es.updates import Step, decay, shrink

if TYPE_CHECKING:
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
    for chunk in step.chunks():
        if chunk.segment.role != "vector":
            step.rewrite_(decay, chunk, scalars={"share": step.rate * strength})


def towards_start_(step: Step, strength: float) -> None:
    """``theta -= rate strength (theta - theta_0)``. Source: anchored weight decay, arXiv 2605.30148."""
    for chunk in step.chunks():
        step.rewrite_(shrink, chunk, own={"target": step.part.slots[ANCHOR]}, scalars={"share": step.rate * strength})
