"""What a vary phase will do: who is rewritten from whom, and which operators become one launch."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from evoweights.contract import calling
from evoweights.operators import GeneOperator, Pair, PairOperator, Scene
from evoweights.population import Population
from evoweights.seeds import Noise


@dataclass(frozen=True)
class Named:
    """An operator of this generation and the label of its entry in the configuration, such as ``1-crossover``."""

    label: str
    operator: PairOperator


@dataclass(frozen=True)
class Planned:
    """An entry of the phase and the rewritings that it does."""

    entry: Named
    pairs: tuple[Pair, ...]


def planned(entries: Sequence[Named], scene: Scene, noise: Noise) -> list[Planned]:
    """Every entry with its pairs; each draws them, if it does, from a place of its own."""
    plan = []
    for each in entries:
        with calling(f"operator {each.operator.name}: pairs"):
            plan.append(Planned(each, tuple(each.operator.pairs(replace(scene, noise=noise.at(each.label))))))
    return plan


Measured = Mapping[tuple[str, int], Mapping[str, Tensor]]
"""Tile scalars by an entry's label and the target's row."""


def measure(population: Population, plan: Sequence[Planned]) -> Measured:
    """The tile scalars of every operator and target, before anything is rewritten, so that they do not depend on fusion."""
    measured = {}
    for each in plan:
        operator = each.entry.operator
        if isinstance(operator, GeneOperator):
            with calling(f"operator {operator.name}: tile_scalars"):
                for pair in each.pairs:
                    row = population.row(pair.target)
                    measured[each.entry.label, pair.target] = operator.tile_scalars(population.layout, row)
    return measured


def groups(plan: Sequence[Planned]) -> Iterator[tuple[list[Named], tuple[Pair, ...]]]:
    """Consecutive operators that can be one launch per pair, with their pairs.

    Gene operators fuse when they rewrite the same rows from the same sources over the same scope, and no source is
    another pair's target: then applying all of them to one pair after the other is the same as one after the other.
    """

    def key(each: Planned) -> tuple[object, ...]:
        sources = {row for pair in each.pairs for row in pair.parents if row != pair.target}
        is_apart = not sources & {pair.target for pair in each.pairs}
        fusible = isinstance(each.entry.operator, GeneOperator) and is_apart
        return (each.pairs, each.entry.operator.scope, None if fusible else each.entry.label)

    for _, group in itertools.groupby(plan, key):
        fused = list(group)
        yield [each.entry for each in fused], fused[0].pairs
