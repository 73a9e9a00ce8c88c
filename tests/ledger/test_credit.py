"""The credit of operators: sums over their applications, bounds and words."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoweights.ledger.credit import T_975, credit_of, t_975

LOSSES = st.floats(-100, 100)


def record(*losses, operators=("0-pso", "1-crossover")):
    return {"operators": operators, "losses": losses or None}


@given(st.lists(st.tuples(LOSSES, LOSSES, LOSSES), min_size=2, max_size=40))
def test_each_operator_has_the_changes_between_its_two_losses(losses):
    credit = credit_of(record(*each) for each in losses)
    assert [each.operator for each in credit] == ["0-pso", "1-crossover"]
    for number, each in enumerate(credit):
        changes = [after[number + 1] - after[number] for after in losses]
        assert each.applications == len(losses)
        assert each.mean == pytest.approx(statistics.fmean(changes), abs=1e-9)
        assert each.spread == pytest.approx(statistics.stdev(changes), abs=1e-9)
        half = t_975(len(losses) - 1) * each.spread / math.sqrt(len(losses))
        assert (each.low, each.high) == pytest.approx((each.mean - half, each.mean + half))


def test_the_verdict_follows_the_bounds():
    def verdict(*changes):
        return credit_of(record(0.0, change, operators=("0-pso",)) for change in changes)[0].verdict

    assert verdict(-1.0, -1.1, -0.9) == "helps"
    assert verdict(1.0, 1.1, 0.9) == "hurts"
    assert verdict(1.0, -1.1, 0.2) == verdict(0.0, 0.0) == "no difference seen"
    assert verdict(-5.0) == "applied once"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_does_not_count(value):
    (first, second) = credit_of([record(1.0, 0.5, 0.25), record(1.0, 0.5, value), record(value, 0.5, 0.25)])
    assert (first.applications, second.applications) == (2, 2)
    assert credit_of([record(value, value)]) == ()


def test_what_was_not_measured_does_not_count():
    old = {"operators": ["0-pso"]}  # a run of a version that had no losses
    assert credit_of([record(), old]) == ()


def test_operators_stand_in_the_order_of_the_configuration():
    labels = ["10-mix", "2-pso", "0-crossover", "plain"]
    credit = credit_of(record(1.0, 0.5, operators=(label,)) for label in labels)
    assert [each.operator for each in credit] == ["0-crossover", "plain", "2-pso", "10-mix"]


@pytest.mark.parametrize(
    ("freedom", "value"), [(1, 12.706), (4, 2.776), (10, 2.228), (15, 2.131), (30, 2.042), (120, 1.980), (10**9, 1.960)]
)
def test_students_t_is_that_of_the_tables(freedom, value):
    assert t_975(freedom) == pytest.approx(value, abs=1e-3)


def test_the_two_ways_to_students_t_meet():
    assert t_975(len(T_975)) > t_975(len(T_975) + 1) > 2.2


@given(st.lists(st.floats(allow_nan=False), min_size=2, max_size=10))
def test_losses_of_any_size_are_summed_up(losses):
    for each in credit_of(record(0.0, loss, operators=("0-pso",)) for loss in losses):
        assert not math.isnan(each.mean) and each.verdict
