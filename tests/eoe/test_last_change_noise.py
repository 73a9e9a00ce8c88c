"""The noise of an EOE event for a single model: its size, its share, and nothing the first time."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evoweights.testing.populations import flat_layout, population_of, vary_
from evoweights_eoe.last_change_noise import LastChangeNoise

COUNT = 100 * 1024
"""Genes: the standard error of a share is then 0.0015."""
BEFORE = "last_change_noise.before"


def alone(**settings):
    """A population of one that was never varied, and the operator on itself."""
    operator = LastChangeNoise(direction="current", **settings)
    population = population_of(flat_layout(COUNT), 1, slots=operator.slots)
    population.row(0, BEFORE).zero_()
    return population, operator


def trained_(population):
    """Changes every gene by a number that is not 0; what it became, and the change."""
    before = population.row(0).clone()
    population.row(0).add_(torch.linspace(0.5, 1.5, COUNT))
    return population.row(0).clone(), population.row(0) - before


def test_the_first_time_nothing_changes_but_the_weights_are_remembered():
    population, operator = alone()
    before = population.row(0).clone()
    vary_(population, operator, generation=0)
    assert torch.equal(population.row(0), before)
    assert torch.equal(population.row(0, BEFORE), before)


def test_a_turns_change_is_perturbed_as_an_event_leaves_it():
    """40 % of the genes, by N(0, (1/3)^2) of their own change, clipped: what PSO and crossover leave of a follower."""
    population, operator = alone()
    vary_(population, operator, generation=0)
    trained, change = trained_(population)
    vary_(population, operator, generation=1)
    share = ((population.row(0) - trained) / change).double()
    moved = share[share != 0]
    assert len(moved) / COUNT == pytest.approx(0.4, abs=5 * (0.24 / COUNT) ** 0.5)
    assert float(moved.mean()) == pytest.approx(0.0, abs=5 / 3 / len(moved) ** 0.5)
    assert float(share.square().mean().sqrt()) == pytest.approx(0.2102, abs=0.003)
    assert float(moved.abs().max()) <= 1 + 1e-5


@given(st.floats(0.0, 5.0), st.floats(0.0, 1.0), st.integers(0, 99))
def test_no_gene_moves_further_than_it_did_by_itself(strength, rate, generation):
    population, operator = alone(strength=strength, rate=rate)
    vary_(population, operator, generation=0)
    trained, change = trained_(population)
    vary_(population, operator, generation=generation + 1)
    after = population.row(0)
    assert bool(((after - trained).abs() <= change.abs() * (1 + 1e-5) + 1e-6).all())
    if strength == 0 or rate == 0:
        assert torch.equal(after, trained)
