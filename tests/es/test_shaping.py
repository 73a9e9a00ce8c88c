"""Rules of shaping: what is done to fitness must not depend on its scale, and must say nothing where there is nothing to say."""

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from evoweights_es.estimators import Antithetic, OneSided
from evoweights_es.shaping import CentredRank, Group, LeaveOneOut, Raw, Sign, ZScore, mean_ranks

RANKS = [CentredRank(), CentredRank(bound=0.5)]
CENTRED = [ZScore(), *RANKS, Group(), LeaveOneOut()]
ALL = [*CENTRED, Sign(), Raw()]
KINDS = {"ids": lambda each: f"{each.name} {getattr(each, 'bound', '')}".strip()}
values = st.floats(-1e3, 1e3, width=32)
fitnesses = st.lists(values, min_size=2, max_size=12)


def shaped(shaping, fitness, members=None):
    """Weights from one item's fitness for each member."""
    items = torch.tensor(fitness, dtype=torch.float64).view(len(fitness), -1)
    return shaping.weights(items, members or OneSided().members(len(fitness)))


@pytest.mark.parametrize("shaping", RANKS, **KINDS)
@given(st.lists(st.integers(-50, 50), min_size=2, max_size=12))
def test_s01_ranks_do_not_change_under_any_increasing_transform(shaping, fitness):
    expected = shaped(shaping, [float(each) for each in fitness])
    for transform in (lambda r: 3 * r + 7, lambda r: r * 1e-30, math.atan, lambda r: math.exp(r / 10), lambda r: r**3):
        assert torch.equal(shaped(shaping, [transform(each) for each in fitness]), expected)


@pytest.mark.parametrize("shaping", CENTRED, **KINDS)
@given(fitnesses)
def test_s02_weights_sum_to_zero_the_best_has_the_most_and_equals_share(shaping, fitness):
    weights = shaped(shaping, fitness)
    scale = max(1.0, float(weights.abs().max()))
    assert abs(float(weights.sum())) <= 1e-9 * scale * len(fitness)
    assert float(weights[fitness.index(max(fitness))]) == float(weights.max())
    for value in set(fitness):
        assert len({float(weights[i]) for i, each in enumerate(fitness) if each == value}) == 1


@pytest.mark.parametrize("shaping", [*CENTRED, Sign()], **KINDS)
@given(fitnesses, st.integers(0, 11))
def test_s02_nan_counts_as_the_worst(shaping, fitness, place):
    place %= len(fitness)
    worst = min(each for index, each in enumerate(fitness) if index != place)
    for missing in (math.nan, -math.inf, math.inf):
        with_nan = [*fitness[:place], missing, *fitness[place + 1 :]]
        assert torch.equal(shaped(shaping, with_nan), shaped(shaping, [*fitness[:place], worst, *fitness[place + 1 :]]))


@pytest.mark.parametrize("shaping", ALL, **KINDS)
@given(fitnesses, st.randoms(use_true_random=False))
def test_s03_permuting_members_permutes_their_weights(shaping, fitness, random):
    order = list(range(len(fitness)))
    random.shuffle(order)
    expected = shaped(shaping, fitness)[order]
    torch.testing.assert_close(shaped(shaping, [fitness[i] for i in order]), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shaping", ALL, **KINDS)
@pytest.mark.parametrize("value", [3.3333333, 1e-30, -7.1, 0.0])
@pytest.mark.parametrize("count", [2, 7, 30])
def test_s04_equal_fitness_gives_exactly_nothing(shaping, value, count):
    """Seven times 3.3333333 less its mean is not 0 in floating point."""
    assert not shaped(shaping, [value] * count).any()
    assert not shaped(shaping, [[value, value + 1]] * count).any()


@pytest.mark.parametrize("shaping", [*CENTRED, Sign()], **KINDS)
@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=12), st.integers(-(2**20), 2**20))
def test_s10_a_constant_more_changes_nothing(shaping, fitness, constant):
    numbers = [float(each) for each in fitness]
    moved = shaped(shaping, [each + constant for each in numbers])
    torch.testing.assert_close(moved, shaped(shaping, numbers), rtol=1e-6, atol=1e-6)


@settings(max_examples=20)
@given(st.lists(st.tuples(values, values), min_size=1, max_size=6))
def test_s05_equal_pairs_count_nothing_and_swapping_a_pair_negates(pairs):
    assume(len(set(sum(pairs, ()))) > 1)
    estimator = Antithetic()
    members = estimator.members(2 * len(pairs))

    def coefficients(shaping, given):
        return estimator.coefficients(shaped(shaping, list(sum(given, ())), members).tolist(), members)

    for shaping in (Raw(), Sign()):
        forward = coefficients(shaping, pairs)
        assert all(c == 0 for c, (a, b) in zip(forward, pairs, strict=True) if a == b)
        assert coefficients(shaping, [(b, a) for a, b in pairs]) == [-c for c in forward]


def test_ranks_of_equals_are_their_mean():
    assert mean_ranks(torch.tensor([3.0, 1.0, 3.0, 7.0, 1.0, 3.0])).tolist() == [3.0, 0.5, 3.0, 5.0, 0.5, 3.0]


def test_published_formulas_by_hand():
    assert shaped(CentredRank(), [5.0, 1.0, 9.0]).tolist() == [0.0, -1.0, 1.0]
    assert shaped(CentredRank(bound=0.5), [5.0, 1.0, 9.0]).tolist() == [0.0, -0.5, 0.5]
    torch.testing.assert_close(shaped(ZScore(), [1.0, 3.0]), torch.tensor([-1.0, 1.0], dtype=torch.float64))
    torch.testing.assert_close(
        shaped(LeaveOneOut(), [1.0, 2.0, 6.0]), torch.tensor([-3.0, -1.5, 4.5], dtype=torch.float64)
    )
    assert shaped(Sign(), [1.0, 2.0, 6.0]).tolist() == [-1.0, -1.0, 1.0]


def test_groups_are_compared_item_by_item():
    """A member that is better at the item on which all are alike otherwise counts as much as one at a hard item."""
    items = [[0.0, 100.0], [1.0, 100.0], [2.0, 100.0]]
    weights = shaped(Group(), items)
    assert float(weights[0]) < 0 == float(weights[1]) < float(weights[2])
    moved = shaped(Group(), [[a + 50, b - 30] for a, b in items])
    torch.testing.assert_close(moved, weights)


def test_pairs_need_an_even_number():
    with pytest.raises(ValueError, match="even"):
        Antithetic().members(3)


def test_s02_a_member_that_fails_on_one_item_is_the_worst_of_its_group():
    """However good it is at the others: its fitness is NaN."""
    items = [[0.0, math.nan, 9.0, 9.0], [0.0, 1.0, 2.0, 3.0], [0.0, 0.5, 2.0, 3.0]]
    for shaping in (*CENTRED, Sign()):
        weights = shaped(shaping, items)
        assert float(weights[0]) == float(weights.min()), shaping.name
    assert float(shaped(Group(), items)[0]) < float(shaped(Group(), items)[1])
