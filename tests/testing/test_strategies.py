"""What the public strategies promise."""

import math

import pytest
import torch
from hypothesis import find, given, settings
from hypothesis import strategies as st

from evoweights import testing
from evoweights.population import Slot
from evoweights.testing import strategies
from evoweights.testing.populations import flat_layout, mixed_layout


@given(number=strategies.extreme_floats(), half=strategies.extreme_floats(torch.bfloat16))
def test_extreme_floats_are_numbers_of_their_type(number, half):
    assert float(torch.tensor(number, dtype=torch.float32)) == number
    assert float(torch.tensor(half, dtype=torch.bfloat16)) == half


@pytest.mark.parametrize("dtype", strategies.DTYPES)
def test_extreme_floats_hold_what_tests_forget(dtype):
    info, found = torch.finfo(dtype), strategies.extremes(dtype).tolist()
    assert {info.max, -info.max, info.smallest_normal, info.eps, 0.0} <= set(found)
    assert any(math.copysign(1.0, each) < 0 for each in found if each == 0.0)
    assert any(0 < each < info.smallest_normal for each in found)


@given(layout=strategies.layouts(), data=st.data())
def test_genomes_are_finite_and_padded_with_zeros(layout, data):
    genome = data.draw(strategies.genomes(layout))
    assert genome.shape == (layout.size,) and genome.dtype == layout.dtype and genome.isfinite().all()
    for each in layout.segments:
        each.view(genome).zero_()
    assert not genome.any()


@given(population=strategies.populations(mixed_layout(), sizes=(2, 3), slots=[Slot("mine.slot", "state")]))
def test_populations_have_what_was_asked_for(population):
    assert population.size in (2, 3) and population.layout == mixed_layout()
    assert all(population.row(row, "mine.slot").isfinite().all() for row in range(population.size))
    for each in population.individuals:
        assert each.failed == math.isinf(each.fitness)
        assert each.is_unknown == math.isnan(each.fitness)


WANTED = {
    "unknown": lambda population: any(each.is_unknown for each in population.individuals),
    "failed": lambda population: any(each.failed for each in population.individuals),
    "a tie": lambda population: (
        len({each.fitness for each in population.individuals} - {math.inf}) < population.size
        and not any(each.failed or each.is_unknown for each in population.individuals)
    ),
    "alone": lambda population: population.size == 1,
    "extremes": lambda population: (population.row(0).abs() > 1e30).any(),
    "bfloat16": lambda population: population.layout.dtype == torch.bfloat16,
}


@pytest.mark.parametrize("wanted", WANTED)
def test_populations_hold_what_breaks_operators(wanted):
    quick = settings(derandomize=True, database=None, max_examples=500, deadline=None)
    assert WANTED[wanted](find(strategies.populations(), WANTED[wanted], settings=quick))


FITNESSES = {
    "NaN": lambda found: any(map(math.isnan, found)),
    "infinity": lambda found: math.inf in found,
    "ties": lambda found: len(found) > len(set(found)),
    "both zeros": lambda found: {math.copysign(1.0, each) for each in found if each == 0} == {1.0, -1.0},
}


@pytest.mark.parametrize("wanted", FITNESSES)
def test_fitnesses_hold_what_breaks_selections(wanted):
    quick = settings(derandomize=True, database=None, max_examples=2000, deadline=None)
    assert find(strategies.fitnesses, FITNESSES[wanted], settings=quick)


@given(genes=strategies.genes(50))
def test_genes_are_finite(genes):
    assert genes.shape == (50,) and genes.isfinite().all()


def test_everything_public_is_listed_and_there():
    assert sorted(testing.__all__) == dir(testing)
    assert all(getattr(testing, name) is not None for name in testing.__all__)
    assert testing.strategies is strategies
    assert flat_layout(3).count == 3
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        testing.nothing  # noqa: B018
