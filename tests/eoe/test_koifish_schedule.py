"""The published schedule of EOE: which expert trains at step t, and when operators act."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoweights.seeds import Noise
from evoweights_eoe.koifish import KoifishTurn

PUBLISHED = [((6, 61035, 100), 605), ((6, 61035, 100), 605), ((4, 61035, 100), 607), ((2, 89241, 100), 891)]
"""(experts, steps, steps between changes) of the published runs, and the operator events in their logs."""

sizes, switches, totals = st.integers(1, 7), st.integers(1, 12), st.integers(1, 300)


def steps_of(size, total, switch):
    """The expert of every step 1 .. total, and the steps after which operators acted."""
    turn, generation, experts, events = KoifishTurn(switch=switch, total_steps=total), 0, [], []
    while generation * switch <= total:
        chosen = turn.choose(generation, size, Noise(0))
        assert len(chosen.rows) == 1
        experts += [chosen.rows[0]] * chosen.steps
        events += [len(experts)] * chosen.varies
        generation += 1
    return experts, events


@given(sizes, totals, switches)
def test_the_expert_at_step_t_is_the_t_over_s_th_in_a_circle(size, total, switch):
    experts, _ = steps_of(size, total, switch)
    assert experts == [(t // switch) % size for t in range(1, total + 1)]


@given(sizes, totals, switches)
def test_operators_act_at_the_last_step_before_a_change_from_the_nth_change_on(size, total, switch):
    """At t = k S - 1 for k = N, N + 1, ...: floor((T + 1) / S) - N + 1 events once T reaches N S - 1."""
    _, events = steps_of(size, total, switch)
    assert events == [k * switch - 1 for k in range(size, total + 2) if k * switch - 1 <= total]
    expected = (total + 1) // switch - size + 1 if total >= size * switch - 1 else 0
    assert len(events) == expected


@pytest.mark.parametrize(("run", "count"), PUBLISHED)
def test_the_published_runs_have_as_many_events_as_their_logs(run, count):
    experts, events = steps_of(*run)
    assert len(events) == count
    assert len(experts) == run[1]
    assert events[0] == run[0] * run[2] - 1


@given(st.integers(2, 7), st.integers(2, 12))
def test_the_first_change_is_at_step_s_and_the_first_event_at_n_s_minus_1(size, switch):
    experts, events = steps_of(size, size * switch, switch)
    assert experts[: switch - 1] == [0] * (switch - 1)
    assert experts[switch - 1] == 1
    assert events == [size * switch - 1]


@given(sizes, switches, st.integers(0, 50))
def test_without_a_total_every_turn_is_whole(size, switch, generation):
    """The first one has a step less."""
    chosen = KoifishTurn(switch=switch).choose(generation, size, Noise(0))
    assert chosen.steps == switch - (generation == 0)
    assert chosen.varies == (generation + 1 >= size)


@given(sizes, totals, switches)
def test_turns_after_the_last_step_are_empty_and_vary_nothing(size, total, switch):
    turn = KoifishTurn(switch=switch, total_steps=total)
    chosen = turn.choose(total // switch + 1, size, Noise(0))
    assert (chosen.steps, chosen.varies) == (0, False)


@given(sizes, switches, st.integers(0, 50), st.integers(0, 2**32))
def test_the_schedule_does_not_depend_on_the_noise(size, switch, generation, seed):
    turn = KoifishTurn(switch=switch)
    assert turn.choose(generation, size, Noise(seed)) == turn.choose(generation, size, Noise(seed + 1))
