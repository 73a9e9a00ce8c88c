"""Draws: exact sizes, even chances, and a function of seed, individual, number and layer alone."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evoweights.seeds import Noise
from evoweights_est.drawing import Draw, kept

SAMPLINGS = ("random", "window")
samplings = st.sampled_from(SAMPLINGS)
shares = st.floats(0, 1)
counts = st.integers(1, 70)


def draw_of(number=0, sampling="random", seed=1):
    return Draw(Noise(seed, "individual 0"), number, sampling)


@given(shares, counts)
def test_a_share_keeps_the_nearest_whole_number_and_at_least_one(share, count):
    found = kept(share, count)
    assert 1 <= found <= count
    assert abs(found - share * count) <= 0.5 + 1e-9 or found == 1
    assert kept(1.0, count) == count


@given(samplings, shares, counts, st.integers(0, 10**6))
def test_as_many_are_drawn_as_asked_for_and_each_once(sampling, share, count, number):
    size = kept(share, count)
    drawn = draw_of(number, sampling).among("layer 0/neurons", count, size)
    assert drawn.dtype == torch.int64 and len(drawn) == size
    assert drawn.unique().tolist() == drawn.tolist()  # ascending, none twice
    assert 0 <= drawn.min() and drawn.max() < count


@given(samplings, st.integers(0, 2**64 - 1), st.integers(0, 999))
def test_the_same_place_gives_the_same_draw(sampling, seed, number):
    first, second = (draw_of(number, sampling, seed) for _ in range(2))
    assert first.among("a", 40, 13).tolist() == second.among("a", 40, 13).tolist()
    assert first.layers(9, 0.4, protect_ends=False).tolist() == second.layers(9, 0.4, protect_ends=False).tolist()


def test_seeds_numbers_labels_and_individuals_give_other_draws():
    draws = [
        draw_of(), draw_of(1), draw_of(seed=2), Draw(Noise(1, "individual 1"), 0, "random"),
    ]  # fmt: skip
    found = {tuple(each.among(label, 64, 32).tolist()) for each in draws for label in ("layer 0", "layer 1")}
    assert len(found) == 8


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_membership_is_uniform(sampling):
    """Chi-square of how often each of 12 is among 5 in 3,000 draws; 99.9 % of uniform ones are below 31.3."""
    times, count, size = 3000, 12, 5
    counted = torch.zeros(count)
    for number in range(times):
        counted[draw_of(number, sampling).among("layer 3/heads", count, size)] += 1
    expected = times * size / count
    assert counted.sum() == times * size
    assert ((counted - expected) ** 2 / (expected * (1 - size / count))).sum() * (1 - 1 / count) < 31.3


def test_pairs_are_as_frequent_as_they_must_be():
    """Two given ones of 8 are both among 4 with probability 4/8 * 3/7."""
    together = sum({1, 6} <= set(draw_of(number).among("x", 8, 4).tolist()) for number in range(4000))
    expected = 4000 * 3 / 14
    assert abs(together - expected) < 4 * (expected * 11 / 14) ** 0.5


@given(st.integers(1, 60), st.data())
def test_windows_are_neighbours_on_a_ring_and_cover_it_evenly(count, data):
    size = data.draw(st.integers(1, count))
    counted = torch.zeros(count, dtype=torch.int64)
    for number in range(count):
        drawn = draw_of(number, "window").among("layer 0/neurons", count, size)
        assert (drawn.diff() > 1).sum() <= 1
        counted[drawn] += 1
    assert counted.unique().tolist() == [size]


@given(samplings, st.integers(1, 6), st.integers(1, 8), shares, st.integers(0, 99))
def test_key_value_heads_keep_equally_many_query_heads(sampling, key_values, each, share, number):
    found = draw_of(number, sampling).heads("layer 0", key_values, each, share)
    groups = (found.queries // each).tolist()
    per_group = {groups.count(group) for group in found.key_values.tolist()}
    assert set(groups) == set(found.key_values.tolist())
    assert len(per_group) == 1
    wanted = kept(share, key_values * each)
    if wanted % key_values == 0:
        assert len(found.queries) == wanted and len(found.key_values) == key_values
    else:
        assert per_group == {each} and len(found.key_values) == kept(share, key_values)
    assert found.queries.tolist() == sorted(set(found.queries.tolist()))


@given(st.integers(1, 12), shares, st.integers(0, 99))
def test_protected_ends_are_always_in(count, share, number):
    free, held = (draw_of(number).layers(count, share, protect_ends=each).tolist() for each in (False, True))
    assert len(free) == kept(share, count)
    assert len(held) == max(kept(share, count), min(2, count))
    assert {0, count - 1} <= set(held) and held == sorted(set(held))


def test_layers_between_protected_ends_are_drawn_uniformly():
    times, counted = 2000, torch.zeros(6)
    for number in range(times):
        counted[draw_of(number).layers(6, 0.5, protect_ends=True)] += 1
    assert counted[[0, 5]].tolist() == [times, times]
    assert ((counted[1:5] - times / 4).abs() < 4 * (times * 3 / 16) ** 0.5).all()
