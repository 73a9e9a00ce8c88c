"""Operators as the kit holds them: on all tensors, rewriting the rows that it says from the parents that it says."""

import dataclasses
import functools

from evoweights.operators import GeneOperator, Pair, PairOperator, Scene
from evoweights.testing.grounds import Operator, with_settings
from evoweights_kernels import Gene

FIRST_FURTHER = 3
"""The row of the first parent besides the source, which is row 0; rows 1 and 2 are rewritten."""


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


def further_parents(operator: PairOperator) -> tuple[int, ...]:
    """The rows that its kernel reads besides the target's and the source's, where the kit says whom it rewrites."""
    if not isinstance(operator, GeneOperator) or type(operator).pairs is PairOperator.pairs:
        return ()
    slots = {slot.name.rpartition(".")[2] for slot in operator.slots}
    read = [each for each in operator.kernel.arguments if each.role is Gene and each.name not in slots]
    return tuple(range(FIRST_FURTHER, FIRST_FURTHER + max(0, len(read) - 2)))


def rows_of(operator: PairOperator) -> int:
    """How many individuals a population needs for a check: three, and those that are further parents."""
    return FIRST_FURTHER + len(further_parents(operator))
