import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoweights.errors import DataError
from evoweights.seeds import Noise
from evoweights_lm.windows import Windows, epoch_window, open_windows, permuted


@st.composite
def streams(draw):
    """Pieces of one stream of numbers 0, 1, 2, ... of which at least one has a window, and the context."""
    context = draw(st.integers(2, 9))
    lengths = draw(st.lists(st.integers(1, 70), min_size=1, max_size=4).filter(lambda each: max(each) > context))
    edges = np.cumsum([0, *lengths])
    return [np.arange(start, end) for start, end in itertools.pairwise(edges)], context


@given(st.integers(1, 5000), st.integers(0, 2**63 - 1))
def test_the_order_of_an_epoch_visits_every_place_once(size, key):
    assert sorted(permuted(position, size, key) for position in range(size)) == list(range(size))


def test_the_order_of_a_huge_corpus_needs_no_table_and_stays_inside():
    size = 5_000_000_000 // 1024
    places = [permuted(position, size, 7) for position in range(2000)]
    assert len(set(places)) == 2000
    assert all(0 <= place < size for place in places)
    assert 0.4 < np.mean(places) / size < 0.6


def test_orders_differ_between_keys_and_look_shuffled():
    first, second = ([permuted(position, 1000, key) for position in range(1000)] for key in (1, 2))
    assert sum(a == b for a, b in zip(first, second, strict=True)) < 20
    assert abs(np.corrcoef(first, np.arange(1000))[0, 1]) < 0.1


@given(streams(), st.floats(0, 1, exclude_max=True))
def test_windows_are_runs_of_one_piece_and_cover_it_but_for_less_than_two_windows(stream, shift):
    pieces, context = stream
    windows = open_windows(pieces, context, what="text")
    inputs = {number: [] for number in range(len(pieces))}
    for number in range(windows.count):
        window = windows.read(number, shift=shift)
        assert len(window) == context + 1
        assert np.array_equal(np.diff(window), np.ones(context))
        owner = next(at for at, piece in enumerate(pieces) if piece[0] <= window[0] <= piece[-1])
        assert window[-1] <= pieces[owner][-1]
        inputs[owner] += list(window[:-1])
    for number, piece in enumerate(pieces):
        assert len(inputs[number]) == len(set(inputs[number]))
        assert len(piece) - len(inputs[number]) <= 2 * context


@given(streams(), st.integers(0, 3))
def test_an_epoch_reads_every_window_once(stream, epoch):
    pieces, context = stream
    windows = open_windows(pieces, context, what="text")
    first = epoch * windows.count
    starts = [epoch_window(windows, first + at, Noise(3, "windows"))[0] for at in range(windows.count)]
    assert len(set(starts)) == windows.count


@given(streams(), st.integers(0, 600))
def test_the_validation_subset_is_spread_from_the_start_and_large_enough(stream, tokens):
    pieces, context = stream
    windows = open_windows(pieces, context, what="text")
    subset = windows.spread(tokens)
    assert subset == sorted(set(subset))
    assert subset[0] == 0
    assert subset[-1] < windows.count
    assert len(subset) == windows.count or len(subset) * context >= tokens > (len(subset) - 1) * context
    assert max(np.diff([*subset, windows.count])) <= -(-windows.count // len(subset))


def test_pieces_too_short_for_a_window_are_left_out():
    windows = open_windows([np.arange(4), np.arange(100, 105), np.arange(3)], 4, what="text")
    assert windows.count == 1
    assert list(windows.read(0)) == [100, 101, 102, 103, 104]


@given(st.integers(5, 12), st.floats(0, 1, exclude_max=True))
def test_a_short_piece_is_never_read_beyond_its_end(length, shift):
    windows = open_windows([np.arange(length), np.arange(100, 200)], 4, what="text")
    assert len(windows.read(0, shift=shift)) == 5


def test_a_corpus_without_a_window_says_how_many_tokens_it_has_and_needs():
    with pytest.raises(
        DataError, match=r"validation text: 4 tokens are too few .* context 4 .* \(5\)\. Give more text"
    ):
        open_windows([np.arange(4)], 4, what="validation text")
    assert Windows((), 4).count == 0
