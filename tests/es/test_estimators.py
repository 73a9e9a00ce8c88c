"""Which members a step scores, and how their weights become one coefficient for each direction."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evoweights_es.estimators import Antithetic, OneSided
from evoweights_es.member import Member

numbers = st.floats(-1e3, 1e3, width=32)


def test_one_sided_members_have_a_direction_each():
    assert OneSided().members(3) == [Member(0, 1.0), Member(1, 1.0), Member(2, 1.0)]


def test_antithetic_members_go_both_ways_along_one_direction():
    assert Antithetic().members(4) == [Member(0, 1.0), Member(0, -1.0), Member(1, 1.0), Member(1, -1.0)]


@pytest.mark.parametrize("count", [1, 3, 31])
def test_antithetic_members_come_in_pairs(count):
    with pytest.raises(ValueError, match=f"members: found {count}, .*even"):
        Antithetic().members(count)


@given(st.lists(numbers, min_size=1, max_size=12))
def test_one_sided_coefficients_are_the_weights_divided_by_their_number(weights):
    members = OneSided().members(len(weights))
    assert OneSided().coefficients(weights, members) == [each / len(weights) for each in weights]


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8))
def test_antithetic_coefficients_are_differences_divided_by_the_number_of_members(pairs):
    estimator = Antithetic()
    members = estimator.members(2 * len(pairs))
    found = estimator.coefficients([each for pair in pairs for each in pair], members)
    assert found == [(forward - backward) / (2 * len(pairs)) for forward, backward in pairs]


@pytest.mark.parametrize("estimator", [OneSided(), Antithetic()], ids=lambda each: each.name)
@given(st.lists(numbers, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_s03_the_order_of_members_does_not_matter(estimator, halves, random):
    """The noise is that of a direction's number, whoever of the members comes first."""
    weights = [each for half in halves for each in (half, half + 1)]
    members = estimator.members(len(weights))
    shuffled = list(zip(weights, members, strict=True))
    random.shuffle(shuffled)
    expected = estimator.coefficients(weights, members)
    found = estimator.coefficients([each for each, _ in shuffled], [each for _, each in shuffled])
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-9)


@pytest.mark.parametrize("estimator", [OneSided(), Antithetic()], ids=lambda each: each.name)
def test_the_estimate_of_a_slope_is_right_on_average(estimator):
    """With raw fitness ``a . eps`` and many directions, ``sum_i c_i eps_i`` tends to ``a``."""
    directions = 20_000
    noise = torch.randn(directions, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    slope = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64)
    members = estimator.members(directions if estimator.name == "one_sided" else 2 * directions)
    weights = [float(each.sign * noise[each.direction] @ slope) for each in members]
    found = torch.tensor(estimator.coefficients(weights, members), dtype=torch.float64) @ noise
    torch.testing.assert_close(found, slope, rtol=0, atol=0.1)
