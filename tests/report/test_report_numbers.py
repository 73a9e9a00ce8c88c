"""Numbers of the report are short and right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoweights.report.numbers import count_scale, count_text, loss_text, plural, seconds_text, unit_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (count_text(0), "0"),
        (count_text(61_440), "61,440"),
        (count_text(2_457_600), "2.46 million"),
        (count_text(1.2e10), "12 billion"),
        (count_text(None), "-"),
        (unit_text(640e6, "B"), "640 MB"),
        (unit_text(3.7123e12, "FLOP"), "3.71 TFLOP"),
        (unit_text(12, "J"), "12 J"),
        (unit_text(float("nan"), "J"), "-"),
        (seconds_text(0.34), "0.34 s"),
        (seconds_text(303), "5 min 3 s"),
        (seconds_text(187_200), "2 d 4 h"),
        (loss_text(4.27246), "4.2725"),
        (loss_text(1.5e-8), "1.50e-08"),
        (loss_text(float("inf")), "-"),
        (plural(1, "expert"), "1 expert"),
        (plural(1200, "expert"), "1,200 experts"),
        (plural(2, "entity"), "2 entities"),
    ],
)
def test_a_number_reads_as_expected(text: str, expected: str) -> None:
    assert text == expected


@given(st.floats(0, 1e18))
def test_a_scale_leaves_one_to_three_digits_before_the_point(largest: float) -> None:
    scale, word = count_scale(largest)
    assert largest / scale < 1000 or word == "trillion"
    assert largest / scale >= 1 or scale == 1
