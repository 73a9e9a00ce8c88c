import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoweights.records import VaryRecord
from evoweights_monitor.formats import duration_text, loss_text, memory_text, printable, rate_text, rows_text
from evoweights_monitor.progress import Progress, mean_train_loss, training_speed, vary_events

relaxed = settings(derandomize=True, deadline=None, max_examples=100)


@relaxed
@given(st.floats(-1e300, 1e300))
def test_a_written_loss_reads_back_within_its_four_digits(loss):
    assert float(loss_text(loss)) == pytest.approx(loss, rel=1e-3, abs=5e-5 if abs(loss) >= 1e-3 else 0)


@pytest.mark.parametrize(
    ("loss", "text"),
    [(None, "-"), (math.nan, "nan"), (math.inf, "inf"), (0.0, "0.0000"), (1e-9, "1.000e-09"), (123456.0, "1.235e+05")],
)
def test_unusual_losses_stay_readable(loss, text):
    assert loss_text(loss) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (math.nan, "-"), (-3.0, "0:00"), (59.6, "1:00"), (3723, "1:02:03"), (2 * 86400 + 61, "2d 0:01:01")],
)
def test_durations_are_written_in_hours_and_days(seconds, text):
    assert duration_text(seconds) == text


def test_rates_and_memory_have_units_a_person_reads():
    assert [rate_text(rate) for rate in (None, 0.25, 12345.6)] == ["-", "0.2", "12,346"]
    assert [memory_text(size) for size in (5 * 2**20, 2**31)] == ["5 MiB", "2.00 GiB"]


@relaxed
@given(st.sets(st.integers(0, 40), min_size=1))
def test_a_list_of_experts_names_exactly_those(rows):
    spans = rows_text(rows, "expert").split(" ", 1)[1].split(", ")
    named = set()
    for span in spans:
        first, _, last = span.partition("-")
        named |= set(range(int(first), int(last or first) + 1))
    assert named == rows


@relaxed
@given(st.text())
def test_printable_text_has_no_control_characters_and_fits_the_encoding(text):
    shown = printable(text, "ascii")
    assert shown.isascii()
    assert all(letter == "\n" or letter.isprintable() for letter in shown)
    assert shown.count("\n") == text.count("\n")


def test_events_group_the_rows_that_one_pipeline_wrote_from_the_same_sources():
    def record(row, sources, operators=("0-pso", "1-crossover")):
        return VaryRecord(12, operators, row, row, (), sources, "cpu")

    events = vary_events([record(1, (0,)), record(2, (0,)), record(0, (0,), ("mutation",)), record(3, (2,))], "expert")
    assert events == [
        "generation 12: pso + crossover wrote experts 1-2 from expert 0",
        "generation 12: mutation wrote expert 0",
        "generation 12: pso + crossover wrote expert 3 from expert 2",
    ]


def test_the_time_left_follows_the_pace_since_this_process_began(make_info, make_generation):
    progress = Progress(make_info(first=10, generations=40), started=100.0)
    assert progress.seconds_left(100.0) is None
    progress.stepped(10, 1, 501, 5.0, now=102.0)
    assert progress.seconds_left(102.0) == pytest.approx((2000 - 501) * 2.0)
    progress.finished(make_generation(39))
    assert progress.seconds_left(300.0) == 0.0
    assert progress.fraction() == 1.0


def test_without_training_steps_the_time_left_follows_generations(make_info, make_generation):
    progress = Progress(make_info(total_steps=0, generations=10), started=0.0)
    progress.finished(make_generation(1))
    assert progress.seconds_left(4.0) == pytest.approx(8 * 2.0)
    assert progress.fraction() == pytest.approx(0.2)


def test_speed_within_a_turn_does_not_count_the_wait_before_it(make_info):
    progress = Progress(make_info(), started=0.0)
    progress.stepped(0, 0, 1, 5.0, now=1000.0)
    assert progress.tokens_per_second is None
    for step in (2, 3, 4):
        progress.stepped(0, 0, step, 5.0, now=1000.0 + (step - 1) * 0.5)
    assert progress.tokens_per_second == pytest.approx(2048 / 0.5)


def test_the_training_loss_shown_is_the_mean_of_the_turn(make_info, make_generation):
    progress = Progress(make_info(), started=0.0)
    for step, loss in enumerate((6.0, 4.0), start=1):
        progress.stepped(0, 2, step, loss, now=float(step))
    assert progress.train == [None, None, 5.0]
    progress.stepped(1, 2, 3, 1.0, now=3.0)
    assert progress.train[2] == 1.0


def test_a_turn_without_a_finite_loss_does_not_hide_the_others(make_info, make_generation):
    record = make_generation(0, train=math.nan)
    assert math.isnan(mean_train_loss(record))
    both = (*record.improved, *make_generation(1).improved)
    assert mean_train_loss(type(record)(**{**vars(record), "improved": both})) == 5.0
    assert mean_train_loss(type(record)(**{**vars(record), "improved": ()})) is None
    assert training_speed(make_info(), ()) is None
