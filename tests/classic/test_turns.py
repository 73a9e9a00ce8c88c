"""Turns: pure functions of generation, size and noise."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from evoweights.seeds import Noise
from evoweights.testing import parametrize_turns
from evoweights.testing.populations import share_z
from evoweights_classic import All, Leader, RandomTurn, RoundRobin

TURNS = [RoundRobin(), RandomTurn(), RandomTurn(count=3), RandomTurn(count=99), All(), Leader(), Leader(row=7)]
generations, sizes = st.integers(0, 10**6), st.integers(1, 9)


@parametrize_turns(TURNS, profile="quick")
def test_contract(check):
    check()


@given(generations, sizes)
def test_round_robin_takes_the_rows_in_order(generation, size):
    rule, noise = RoundRobin(), Noise(1)
    rows = [rule.choose(generation + i, size, noise).rows for i in range(size)]
    assert sorted(rows) == [(row,) for row in range(size)]
    assert rows[0] == (generation % size,)
    assert rule.choose(generation + size, size, noise).rows == rows[0]


@given(generations, sizes)
def test_all_is_everyone_in_order(generation, size):
    assert All().choose(generation, size, Noise(1)).rows == tuple(range(size))


@given(generations, sizes, st.integers(1, 12))
def test_a_random_turn_has_as_many_rows_as_asked_for_or_there_are(generation, size, count):
    rows = RandomTurn(count=count).choose(generation, size, Noise(generation)).rows
    assert len(rows) == min(count, size)


def test_random_turns_are_uniform_and_differ_between_generations():
    counts, rounds = Counter(), 2000
    for generation in range(rounds):
        counts.update(RandomTurn(count=2).choose(generation, 5, Noise(1).at(generation)).rows)
    assert all(abs(share_z(counts[row], rounds, 2 / 5)) < 5 for row in range(5))


@given(row=st.integers(0, 9), size=st.integers(1, 8), generation=st.integers(0, 99))
def test_a_leader_is_always_the_same_one(row, size, generation):
    assert Leader(row=row).choose(generation, size, Noise(1)).rows == (min(row, size - 1),)
