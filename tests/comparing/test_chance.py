"""Intervals: as wide as they must be for few seeds, and the same whenever they are asked for."""

from statistics import mean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoweights.comparing.chance import interval_of_groups, interval_of_pairs, student_quantile

VALUES = st.lists(st.floats(-100, 100), min_size=2, max_size=8)


def near(value: float) -> object:
    return pytest.approx(value, rel=1e-9, abs=1e-9)


@given(VALUES)
def test_the_mean_lies_in_its_interval(values):
    low, high = interval_of_pairs(values)
    assert low <= mean(values) <= high
    low, high = interval_of_groups(values, values[::-1])
    assert low <= 0 <= high


@given(VALUES)
def test_the_same_numbers_give_the_same_interval(values):
    assert interval_of_pairs(values) == interval_of_pairs(values)


@given(VALUES, st.floats(-50, 50), st.sampled_from([0.5, 2.0, 8.0]))
def test_an_interval_moves_and_grows_with_the_numbers(values, shift, scale):
    low, high = interval_of_pairs(values)
    assert interval_of_pairs([scale * each + shift for each in values]) == (
        near(scale * low + shift),
        near(scale * high + shift),
    )


@given(st.floats(-10, 10), st.integers(2, 6))
def test_numbers_that_do_not_differ_leave_no_room(value, count):
    assert interval_of_pairs([value] * count) == (near(value), near(value))
    assert interval_of_groups([value] * count, [0.0] * count) == (near(value), near(value))


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_intervals_cover_the_truth_as_often_as_they_say(count):
    """A plain percentile interval of three numbers covers it in three of four cases."""
    generator, trials = np.random.default_rng(3), 200
    alone = [interval_of_pairs(generator.normal(size=count).tolist()) for _ in range(trials)]
    apart = [interval_of_groups(*generator.normal(size=(2, count)).tolist()) for _ in range(trials)]
    for found in (alone, apart):
        covered = mean(low <= 0 <= high for low, high in found)
        assert covered >= 0.95 - 3 * (0.95 * 0.05 / trials) ** 0.5, covered


def test_intervals_are_not_wider_than_they_must_be():
    generator = np.random.default_rng(4)
    found = [interval_of_pairs(generator.normal(size=10).tolist()) for _ in range(100)]
    assert mean(high - low for low, high in found) < 1.2 * 2 * 2.262 / 10**0.5


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.706), (2, 4.303), (9, 2.262), (10, 2.228), (30, 2.042), (1000, 1.962)]
)
def test_quantiles_are_those_of_the_tables(freedom, quantile):
    assert student_quantile(freedom) == pytest.approx(quantile, abs=5e-4)


def test_fewer_degrees_of_freedom_never_narrow_an_interval():
    quantiles = [student_quantile(each / 4) for each in range(4, 400)]
    assert quantiles == sorted(quantiles, reverse=True)
