"""Momentum over turns: that of torch's SGD, on the changes between two calls."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from evoweights.testing.populations import flat_layout, population_of, vary_
from evoweights_classic.outer_momentum import OuterMomentum

COUNT = 1024
SLOW, VELOCITY = "outer_momentum.slow", "outer_momentum.velocity"


def alone(**settings):
    """A population of one that was never varied, without a gene that is 0, and the operator on itself."""
    operator = OuterMomentum(**settings)
    population = population_of(flat_layout(COUNT), 1, slots=operator.slots)
    population.row(0).copy_(torch.linspace(0.5, 2.0, COUNT))
    for slot in (SLOW, VELOCITY):
        population.row(0, slot).zero_()
    return population, operator


@given(st.floats(0.0, 1.0), st.floats(0.0, 2.0), st.lists(st.floats(-0.05, 0.05), min_size=1, max_size=6))
def test_it_is_nesterov_momentum_on_what_turns_have_changed(momentum, rate, turns):
    population, operator = alone(momentum=momentum, rate=rate)
    vary_(population, operator, generation=0)
    slow = torch.nn.Parameter(population.row(0).double())
    nesterov = torch.optim.SGD([slow], lr=rate, momentum=momentum, nesterov=momentum > 0)
    for generation, each in enumerate(turns, 1):
        change = each * torch.linspace(-1.0, 1.0, COUNT)
        slow.grad = -((population.row(0) + change).double() - population.row(0).double())
        population.row(0).add_(change)
        vary_(population, operator, generation=generation)
        nesterov.step()
        torch.testing.assert_close(population.row(0).double(), slow.detach(), rtol=1e-5, atol=1e-6)
        assert torch.equal(population.row(0), population.row(0, SLOW))


def test_the_first_time_nothing_changes_but_the_weights_are_remembered():
    population, operator = alone()
    before = population.row(0).clone()
    vary_(population, operator, generation=0)
    assert torch.equal(population.row(0), before) and torch.equal(population.row(0, SLOW), before)
    assert not population.row(0, VELOCITY).any()


@given(st.floats(0.0, 1.0), st.floats(0.0, 2.0))
def test_an_individual_that_has_not_moved_stays_until_it_does(momentum, rate):
    population, operator = alone(momentum=momentum, rate=rate)
    before = population.row(0).clone()
    for generation in range(3):
        vary_(population, operator, generation=generation)
    assert torch.equal(population.row(0), before)


def test_without_momentum_a_rate_is_the_share_of_the_way_and_1_is_all_of_it():
    for rate in (0.0, 0.25, 1.0):
        population, operator = alone(momentum=0.0, rate=rate)
        vary_(population, operator, generation=0)
        before = population.row(0).clone()
        population.row(0).add_(0.125)
        vary_(population, operator, generation=1)
        torch.testing.assert_close(population.row(0), before + 0.125 * rate)
