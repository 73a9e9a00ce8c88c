"""Curves: interpolation between measurements, and nothing outside of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoweights.comparing.curves import Curve

SPENT = st.lists(st.floats(0, 1e15), min_size=1, max_size=12, unique=True).map(sorted)


@st.composite
def curves(draw):
    spent = draw(SPENT)
    losses = draw(st.lists(st.floats(-1e3, 1e3), min_size=len(spent), max_size=len(spent)))
    return Curve.through(zip(spent, losses, strict=True))


@given(curves())
def test_a_curve_goes_through_every_measurement(curve):
    assert [curve.at(spent) for spent in curve.spent] == list(curve.losses)


@given(curves(), st.floats(0, 1))
def test_between_two_measurements_a_loss_lies_between_theirs(curve, share):
    for index in range(len(curve.spent) - 1):
        left, right = curve.spent[index : index + 2]
        low, high = sorted(curve.losses[index : index + 2])
        found = curve.at(min(max(left + share * (right - left), left), right))
        assert low - 1e-9 <= found <= high + 1e-9


@given(curves(), st.floats(1e-3, 1e3))
def test_nothing_is_extrapolated(curve, beyond):
    assert curve.at(curve.spent[-1] * (1 + beyond) + beyond) is None
    assert curve.at(curve.spent[0] - beyond - 1) is None


def test_the_middle_of_two_measurements_is_their_mean():
    curve = Curve.through([(0, 4.0), (10, 2.0), (30, 1.0)])
    assert (curve.at(5), curve.at(10), curve.at(20), curve.last) == (3.0, 2.0, 1.5, 30)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(-5, 5)), max_size=20))
def test_what_was_spent_ascends_whatever_was_recorded(points):
    curve = Curve.through(points)
    assert all(left < right for left, right in zip(curve.spent, curve.spent[1:], strict=False))
    assert len(curve.spent) == len(curve.losses) and set(zip(curve.spent, curve.losses, strict=True)) <= set(points)


def test_the_last_measurement_counts_where_nothing_more_was_spent():
    assert Curve.through([(5, 3.0), (5, 2.0), (9, 1.0)]) == Curve((5, 9), (2.0, 1.0))


@pytest.mark.parametrize("points", [[], [(0.0, 1.0)], [(0.0, 1.0), (0.0, 2.0)]])
def test_who_has_spent_nothing_has_no_budget(points):
    assert Curve.through(points).last is None
