"""Verdicts: plain words that never say more than the numbers."""

from hypothesis import given
from hypothesis import strategies as st

from evoweights.comparing.comparison import Difference, Point, Pooled, Row, difference
from evoweights.comparing.verdicts import is_settled, verdict, words

LOSSES = st.dictionaries(st.integers(1, 9), st.floats(0, 10), min_size=1, max_size=5)


def test_a_lower_loss_is_said_to_be_lower_with_its_interval() -> None:
    found = Difference(-0.031, -0.052, -0.010, 3, True)
    assert words(found) == " is lower by 0.0310 (95 % interval 0.0100 to 0.0520, 3 seeds)"
    assert (
        words(Difference(0.2, 0.1, 0.3, 4, False)) == " is higher by 0.2000 (95 % interval 0.1000 to 0.3000, 4 seeds)"
    )


def test_what_chance_may_have_done_is_no_difference() -> None:
    found = Difference(-0.002, -0.012, 0.008, 3, True)
    assert words(found) == ": no difference seen (-0.0020, 95 % interval -0.0120 to +0.0080, 3 seeds)"
    assert words(Difference(0.0, 0.0, 0.0, 3, True)).startswith(": no difference seen")


def test_one_seed_says_nothing_of_chance() -> None:
    found = Difference(-0.5, None, None, 1, True)
    assert words(found) == " is lower by 0.5000; one seed: no interval, so nothing can be said of chance"
    assert not is_settled(found)
    same = Difference(0.0, None, None, 1, True)
    assert words(same) == ": the same loss; one seed, so nothing can be said of chance"


@given(LOSSES, LOSSES)
def test_a_verdict_is_settled_only_with_an_interval_beyond_zero(first, own):
    found = difference(first, own)
    text = words(found)
    assert is_settled(found) == ("interval" in text and "no " not in text)
    if is_settled(found):
        assert ("lower" in text) == (found.high < 0) and min(len(first), len(own)) > 1


def test_where_nothing_was_measured_that_is_said() -> None:
    empty = Row("dense", (Point(1.0, 10.0, None, Pooled(1.0, None, 1), None),))
    assert verdict(empty, "eoe") == "dense: cannot be compared with eoe here"
    assert verdict(Row("dense", ()), "eoe") == "dense: cannot be compared with eoe here"
