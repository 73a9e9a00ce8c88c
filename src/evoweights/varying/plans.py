"""What a vary phase will do: who is rewritten from whom, and which operators become one launch."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from evoweights.contract import calling
from evoweights.operators import GeneOperator, Pair, PairOperator, Scene
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
