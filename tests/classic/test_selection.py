"""Selections, and what becomes of a population that is selected from."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evoweights.errors import PluginError
from evoweights.population import Slot
from evoweights.scoring import select
from evoweights.seeds import Noise
from evoweights.testing import parametrize_selections
from evoweights.testing.populations import contents, mixed_layout, population_of, share_z
from evoweights.testing.strategies import fitnesses
from evoweights_classic import Best, Tournament, Truncation
from evoweights_classic.selections import ranking
from operators_under_test import registered

OTHERS = [Truncation(share=0.5), Tournament(contestants=5, elites=3), Tournament(elites=0)]
SELECTIONS = [entry.component() for entry in registered().entries("select")] + OTHERS
"""Every selection that is registered, and others of their settings."""

noises = st.integers(0, 2**32).map(Noise)


@given(fitnesses)
def test_the_ranking_is_a_permutation_from_low_to_high_with_nan_last_and_ties_in_order(values):
    """L04."""
    ranked = ranking(values)
    assert sorted(ranked) == list(range(len(values)))
    keys = [(math.isnan(values[row]), 0.0 if math.isnan(values[row]) else values[row], row) for row in ranked]
    assert keys == sorted(keys)


@parametrize_selections(SELECTIONS, profile="quick")
def test_contract(check):
    check()


@given(fitnesses, noises)
def test_best_leaves_everyone_in_place(values, noise):
    assert Best().choose(values, noise) == list(range(len(values)))


@given(fitnesses, noises, st.floats(0, 0.5))
def test_truncation_replaces_the_worst_share_by_the_best_share(values, noise, share):
    """L07."""
    ranked, count = ranking(values), int(share * len(values))
    top, bottom = set(ranked[:count]), set(ranked[len(values) - count :])
    parents = {row for row in top if not math.isnan(values[row])}
    for row, source in enumerate(Truncation(share=share).choose(values, noise)):
        if row in bottom and parents:
            assert source in parents
        else:
            assert source == row


def test_truncation_draws_its_parents_uniformly():
    values, counts = [float(row) for row in range(8)], Counter()
    for seed in range(500):
        counts.update(Truncation(share=0.5).choose(values, Noise(seed))[4:])
    assert set(counts) == {0, 1, 2, 3}
    assert all(abs(share_z(count, 2000, 0.25)) < 5 for count in counts.values())


# Moving individuals


@dataclass(frozen=True)
class Told:
    """Chooses the rows it is told."""

    name: ClassVar[str] = "told"
    source: ClassVar[str] = "a test"

    rows: tuple[int, ...] = ()

    def choose(self, fitness, noise):
        return self.rows


SLOTS = (Slot("m"), Slot("best", "personal_best"))


def measured(size=4):
    population = population_of(mixed_layout(torch.bfloat16), size, slots=SLOTS)
    for row, individual in enumerate(population.individuals):
        individual.fitness = individual.score = individual.best_fitness = float(row)
        individual.train_loss, individual.start, individual.turns = row + 0.5, row + 9.0, row
    population.unsaved.clear()
    return population


@given(st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_every_row_holds_the_individual_that_was_chosen_for_it(rows):
    """Cycles and copies alike: weights, slots, buffers, fitness and step counts move together."""
    population = measured()
    before, ids = contents(population), [each.id for each in population.individuals]
    records = select(population, Told(rows=tuple(rows)), generation=7, noise=Noise(1))
    assert contents(population) == [before[row] for row in rows]
    assert population.fitness() == [float(row) for row in rows]
    moved = [row for row in range(4) if rows[row] != row]
    assert [record.row for record in records] == moved
    assert population.unsaved == set(moved)
    for row, individual in enumerate(population.individuals):
        source = rows[row]
        assert (individual.score, individual.best_fitness, individual.train_loss) == (source, source, source + 0.5)
        assert individual.counters == {"adamw.steps": 10 + source}
        if source == row:
            assert individual.id == ids[row]
        else:
            assert individual.parents == (ids[source],)
            assert individual.born == 7
            assert individual.id not in ids
    assert len({each.id for each in population.individuals}) == 4


def test_a_copy_is_no_view_of_the_original():
    """G03."""
    population = measured()
    select(population, Told(rows=(0, 0, 2, 3)), generation=0, noise=Noise(1))
    before = contents(population)[1]
    for name in ("weights", "m", "best"):
        population.row(0, name).zero_()
    population.individuals[0].counters["adamw.steps"] = 99
    assert contents(population)[1] == before
    assert population.individuals[1].counters == {"adamw.steps": 10}


def test_a_copy_of_a_failed_individual_is_failed():
    population = measured()
    population.individuals[2].failed, population.individuals[2].fitness = True, math.inf
    select(population, Told(rows=(2, 1, 2, 3)), generation=0, noise=Noise(1))
    assert population.healthy() == [1, 3]


@pytest.mark.parametrize("rows", [(0, 1, 2), (0, 1, 2, 3, 3), (0, 1, 2, 4), (0, 1, 2, -1)])
def test_rows_that_do_not_exist_or_do_not_fit_are_refused(rows):
    population = measured()
    before = contents(population)
    with pytest.raises(PluginError, match=r"select\.told: gave rows .*, expected 4 of 0\.\.3"):
        select(population, Told(rows=rows), generation=0, noise=Noise(1))
    assert contents(population) == before
