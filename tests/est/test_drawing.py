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


layer_counts = st.lists(counts, min_size=1, max_size=5)


@given(samplings, shares, layer_counts, st.integers(0, 10**6))
def test_as_many_are_drawn_as_asked_for_and_each_once(sampling, share, counts, number):
    drawn = draw_of(number, sampling).neurons(counts, share)
    assert [len(each) for each in drawn] == [kept(share, count) for count in counts]
    for each, count in zip(drawn, counts, strict=True):
        assert each.dtype == torch.int64
        assert each.unique().tolist() == each.tolist()  # ascending, none twice
        assert each.min() >= 0 and each.max() < count


@given(samplings, st.integers(0, 2**64 - 1), st.integers(0, 999))
def test_the_same_place_gives_the_same_draw(sampling, seed, number):
    first, second = (drawn_by(draw_of(number, sampling, seed)) for _ in range(2))
    assert first == second


def drawn_by(draw):
    heads = draw.heads([(2, 4), (8, 1)], 0.5)
    return [
        *(each.tolist() for each in draw.neurons([40, 40], 0.3)),
        *(each.queries.tolist() for each in heads),
        draw.layers(9, 0.4, protect_ends=False).tolist(),
    ]


@given(samplings, layer_counts, st.integers(0, 99))
def test_a_layer_is_drawn_whatever_the_others_are(sampling, counts, number):
    draw = draw_of(number, sampling)
    alone = draw.neurons([64], 0.5)[0]
    assert draw.neurons([64, *counts], 0.5)[0].tolist() == alone.tolist()


def test_seeds_numbers_layers_and_individuals_give_other_draws():
    draws = [draw_of(), draw_of(1), draw_of(seed=2), Draw(Noise(1, "individual 1"), 0, "random")]
    found = {tuple(each.tolist()) for draw in draws for each in draw.neurons([64, 64], 0.5)}
    assert len(found) == 8
    heads = draw_of().heads([(64, 1)], 0.5)[0]
    assert tuple(heads.queries.tolist()) not in found


def chi_square(counted, times, size):
    """Of how often each was among ``size``, without replacement."""
    count = len(counted)
    expected = times * size / count
    return float(((counted - expected) ** 2).sum() / (expected * (1 - size / count)) * (1 - 1 / count))


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_membership_is_uniform(sampling):
    """Neurons, and heads of groups, 5 of 12 in 3,000 draws of 10 layers: 99.9 % of uniform ones are below 31.3."""
    times, layers = 3000, 10
    neurons, heads = [], []
    for number in range(times // layers):
        draw = draw_of(number, sampling)
        neurons += draw.neurons([12] * layers, 5 / 12)
        heads += [each.queries for each in draw.heads([(12, 1)] * layers, 5 / 12)]
    for counted in (torch.cat(each).bincount(minlength=12) for each in (neurons, heads)):
        assert counted.sum() == times * 5
        assert chi_square(counted, times, 5) < 31.3


def test_pairs_are_as_frequent_as_they_must_be():
    """Two given ones of 8 are both among 4 with probability 4/8 * 3/7."""
    drawn = [each.tolist() for number in range(400) for each in draw_of(number).neurons([8] * 10, 0.5)]
    together = sum({1, 6} <= set(each) for each in drawn)
    expected = len(drawn) * 3 / 14
    assert abs(together - expected) < 4 * (expected * 11 / 14) ** 0.5


@given(st.integers(1, 60), shares)
def test_windows_are_neighbours_on_a_ring_and_cover_it_evenly(count, share):
    counted = torch.zeros(count, dtype=torch.int64)
    for number in range(count):
        drawn = draw_of(number, "window").neurons([count], share)[0]
        assert (drawn.diff() > 1).sum() <= 1
        counted[drawn] += 1
    assert counted.unique().tolist() == [kept(share, count)]


@given(samplings, st.integers(1, 6), st.integers(1, 8), shares, st.integers(0, 99))
def test_key_value_heads_keep_equally_many_query_heads(sampling, key_values, each, share, number):
    found = draw_of(number, sampling).heads([(3, 3), (key_values, each)], share)[1]
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
    times, counted = 1000, torch.zeros(6)
    for number in range(times):
        counted[draw_of(number).layers(6, 0.5, protect_ends=True)] += 1
    assert counted[[0, 5]].tolist() == [times, times]
    assert ((counted[1:5] - times / 4).abs() < 4 * (times * 3 / 16) ** 0.5).all()
