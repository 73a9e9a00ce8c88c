"""Rules that no operator can break through its interface: the engine is broken instead, under an operator that is sound."""

import pytest
import torch

from evoweights import variation
from evoweights.population import Population
from evoweights.testing.checks import form, numbers, places
from evoweights.testing.grounds import Draw, awkward_layout
from evoweights_classic import Crossover

SOUND = Crossover(scope="all")
DRAW = Draw(awkward_layout(torch.float32))


def test_a_whole_number_that_is_cast_is_noticed(monkeypatch):
    """G13."""
    true = Population.rewritten

    def careless(self, row, **told):
        self.buffers[row]["count"] = self.buffers[row]["count"].float()
        return true(self, row, **told)

    monkeypatch.setattr(Population, "rewritten", careless)
    with pytest.raises(AssertionError):
        form.buffers(SOUND, "reference", DRAW)
    with pytest.raises(AssertionError):
        form.form(SOUND, "reference", DRAW)


def test_counters_that_are_shared_are_noticed(monkeypatch):
    """G03."""
    true = variation.carry_optimizer_state_

    def sharing(population, pair, source, policy):
        true(population, pair, source, policy)
        population.individuals[pair.target].counters = population.individuals[pair.source].counters

    monkeypatch.setattr(variation, "carry_optimizer_state_", sharing)
    with pytest.raises(AssertionError):
        form.aliasing(SOUND, "reference", DRAW)


def test_a_child_that_lies_where_its_parent_lies_is_noticed(monkeypatch):
    """G03."""
    true = Population.rewritten

    def aliased(self, row, **told):
        self.memory[row]["copy"] = self.memory[0]["copy"] = torch.ones(3)
        return true(self, row, **told)

    monkeypatch.setattr(Population, "rewritten", aliased)
    with pytest.raises(AssertionError):
        form.aliasing(SOUND, "reference", DRAW)


def forgetful(launch):
    def apply_(calls, *, seed, live=None, first_tile=0, backend="auto"):
        return launch(calls, seed=seed + (live is not None and len(live)), live=live, backend=backend)

    return apply_


def test_noise_that_starts_anew_in_every_launch_is_noticed(monkeypatch):
    """G08."""
    monkeypatch.setattr(places, "apply_", forgetful(places.apply_))
    with pytest.raises(AssertionError):
        places.shards(SOUND, "reference", Draw(awkward_layout(torch.bfloat16)))


def test_another_rounding_is_noticed(monkeypatch):
    """G17."""
    monkeypatch.setattr(numbers, "round_to_bfloat16", lambda value, words: value.bfloat16() * 2)
    with pytest.raises(AssertionError):
        numbers.rounded(SOUND, "reference", Draw(awkward_layout(torch.bfloat16)))
