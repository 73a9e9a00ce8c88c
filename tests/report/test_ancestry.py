"""The family tree says who descends from whom."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_runs import record_run

from evoweights.report.ancestry import Life, are_blended, at_the_end, blended_by, lives_of
from evoweights.report.history import History, Rewriting, read_history
from evoweights.storage.run_dir import RunDirectory

COLOURS = [(255.0, 0.0, 0.0), (0.0, 255.0, 0.0), (0.0, 0.0, 255.0), (90.0, 90.0, 90.0)]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> History:
    """A run of 20 generations of 4 individuals."""
    return read_history(RunDirectory.read(record_run(tmp_path_factory.mktemp("runs") / "run", generations=20, size=4)))


def lives_with(plain: History, events: list[tuple[int, int, tuple[int, ...]]]) -> list[Life]:
    """Lives of a history in which (generation, row, parents) were the rewritings; ids count on from the first four."""
    made = [
        Rewriting(generation, row, number, parents, (), ("0-x",), None)
        for number, (generation, row, parents) in enumerate(events, 4)
    ]
    return lives_of(replace(plain, rewritings=tuple(made)), COLOURS)


def test_a_child_is_the_even_blend_of_its_parents(plain: History) -> None:
    (child,) = [life for life in lives_with(plain, [(3, 0, (0, 1))]) if life.of]
    assert child.colour == (127.5, 127.5, 0.0) and child.founders == {0, 1} and child.born == 3


def test_a_copy_has_the_line_of_its_one_parent_alone(plain: History) -> None:
    lives = lives_with(plain, [(3, 0, (2,)), (5, 1, (4,))])
    assert [life.founders for life in at_the_end(lives)] == [{2}, {2}, {2}, {3}]


def test_a_parent_born_in_the_same_generation_counts(plain: History) -> None:
    lives = lives_with(plain, [(3, 0, (0, 1)), (3, 2, (2, 4))])
    assert at_the_end(lives)[2].founders == {0, 1, 2}


def test_an_unknown_parent_is_taken_for_who_was_there_before(plain: History) -> None:
    assert at_the_end(lives_with(plain, [(3, 1, (77, 78))]))[1].founders == {1}


EVENTS = st.lists(st.tuples(st.integers(0, 19), st.integers(0, 3), st.integers(0, 3)), max_size=40)


@given(EVENTS)
def test_every_row_is_lived_in_from_the_first_to_the_last_generation(
    plain: History, drawn: list[tuple[int, int, int]]
) -> None:
    living, events = list(range(4)), []
    for generation, row, source in sorted(drawn):
        events.append((generation, row, tuple(dict.fromkeys([living[row], living[source]]))))
        living[row] = 4 + len(events) - 1
    lives = lives_with(plain, events)
    for row in range(4):
        own = [life for life in lives if life.row == row]
        assert own[0].born == -1 and own[-1].ended == 19
        assert all(before.ended == after.born for before, after in pairwise(own))
    assert all(0 <= part <= 255 for life in lives for part in life.colour)
    reached = blended_by(lives, 4)
    assert (reached is not None) == are_blended(at_the_end(lives))


def test_what_is_blended_stays_blended(plain: History) -> None:
    lives = lives_of(plain, COLOURS)
    reached = blended_by(lives, 4)
    assert reached is not None and reached < 19
    for entry in range(reached, 20):
        now = {life.row: life for life in lives if life.born <= entry}
        assert are_blended([*now.values()])
    spread = np.ptp([life.colour for life in at_the_end(lives)], axis=0)
    assert spread.max() < np.ptp(COLOURS, axis=0).max()
