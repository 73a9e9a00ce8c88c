"""Operators as the kit holds them: on all tensors, rewriting the rows that it says from the parents that it says."""

import dataclasses
import functools

from evoweights.operators import Pair, PairOperator, Scene
from evoweights.testing.grounds import Operator, with_settings
from evoweights.testing.parents import further_parents


def held(operator: Operator) -> Operator:
    """The operator on all tensors, with row 0 as the source of the others.

    One that says itself whom it rewrites from whom, as differential evolution does, keeps its settings and its kernel and
    has its rows said by the kit.
    """
    there = with_settings(operator, scope="all", direction="current_to_others")
    if type(operator).pairs is PairOperator.pairs:
        return there
    settings = {each.name: getattr(there, each.name) for each in dataclasses.fields(there) if each.init}
    return _paired(type(there))(**settings)


@functools.cache
def _paired(component: type) -> type:
    """A component that is this one but for its pairs."""
    told = {name: getattr(component, name) for name in ("__doc__", "__module__", "__qualname__")}
    return type(component.__name__, (component,), {**told, "pairs": _pairs})


def _pairs(self: PairOperator, scene: Scene) -> list[Pair]:
    size, further = len(scene.scores), further_parents(self)
    if further and further[-1] >= size:
        further = ()  # then the source stands for all of them
    rewritten = [row for row in range(size) if row not in further]
    return [Pair(row, leader, further) for leader in scene.actors for row in rewritten if row != leader]
