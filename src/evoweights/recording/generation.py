"""The record of a generation."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from evoweights.ledger.costs import Costs
from evoweights.population import best_of
from evoweights.recording.diversity import distances
from evoweights.records import GenerationRecord, ImproveRecord, VaryRecord
from evoweights.world import World

EACH_PAIR = 16
"""The largest population whose records have the distance of each pair."""


def record_of(
    world: World,
    generation: int,
    *,
    improved: Iterable[ImproveRecord],
    varied: Iterable[VaryRecord],
    seconds: Mapping[str, float],
    costs: Costs,
) -> GenerationRecord:
    """The record of a generation that has just been evaluated."""
    population = world.population
    fitness, individuals = population.fitness(), population.individuals
    best, gaps = best_of(fitness, population.healthy()), distances(population)
    return GenerationRecord(
        generation=generation,
        step=world.progress.step,
        tokens=costs.tokens,
        improved=tuple(improved),
        varied=tuple(varied),
        fitness=tuple(map(_known, fitness)),
        best_row=best,
        best_fitness=None if best is None else _known(fitness[best]),
        distance=sum(gap for _, _, gap in gaps) / len(gaps) if gaps else None,
        seconds=seconds,
        failed=tuple(row for row, each in enumerate(individuals) if each.failed),
        distances=gaps if population.size <= EACH_PAIR else None,
        ledger=asdict(costs),
        start_fitness=tuple(_known(each.start) for each in individuals) if generation == 0 else None,
    )


def _known(loss: float) -> float | None:
    return loss if math.isfinite(loss) else None
