"""Places along a dimension: what is taken out of a tensor and put back, in runs or by index."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evoweights_est.places import LONG, Places


@st.composite
def cases(draw):
    """Units out of some, their width and copies, and a tensor with a dimension that holds them."""
    of, width, copies = draw(st.integers(1, 40)), draw(st.sampled_from((1, 3, 16, 32))), draw(st.integers(1, 3))
    units = torch.tensor(sorted(draw(st.sets(st.integers(0, of - 1), min_size=1))))
    dim, dtype = draw(st.integers(0, 1)), draw(st.sampled_from((torch.float32, torch.bfloat16)))
    shape = [3, 3]
    shape[dim] = of * width * copies
    source = torch.arange(3 * shape[dim]).view(shape).to(dtype)
    return Places.of_units(units, of, width=width, copies=copies), units, (of, width, copies), dim, source


@given(cases())
def test_they_are_those_of_every_copy_of_the_units(case):
    places, units, (of, width, copies), _, _ = case
    wanted = [(c * of + u) * width + w for c in range(copies) for u in units.tolist() for w in range(width)]
    assert places.index.tolist() == wanted
    if places.runs:
        assert [start + i for start, length in places.runs for i in range(length)] == wanted


@given(cases())
def test_taking_is_indexing_and_putting_back_changes_nothing_else(case):
    places, _, _, dim, source = case
    shape = list(source.shape)
    shape[dim] = len(places.index)
    taken = torch.empty(shape, dtype=source.dtype)
    places.take(source, dim, out=taken)
    assert torch.equal(taken, source.index_select(dim, places.index))
    target = torch.full_like(source, -1)
    places.put_(target, dim, taken)
    is_in = torch.zeros(source.shape[dim], dtype=torch.bool)
    is_in[places.index] = True
    kept, other = target.movedim(dim, 0)[is_in], target.movedim(dim, 0)[~is_in]
    assert torch.equal(kept, source.movedim(dim, 0)[is_in]) and bool((other == -1).all())


@pytest.mark.parametrize(("width", "in_runs"), [(1, False), (LONG - 1, False), (LONG, True), (64, True)])
def test_wide_units_are_copied_in_runs_and_narrow_ones_by_index(width, in_runs):
    places = Places.of_units(torch.arange(0, 40, 2), 40, width=width)
    assert bool(places.runs) is in_runs


def test_a_window_is_one_run_and_around_the_end_of_the_ring_two():
    assert Places.of_units(torch.arange(10, 42), 64).runs == ((10, 32),)
    around = torch.cat([torch.arange(8), torch.arange(40, 64)])
    assert Places.of_units(around, 64).runs == ((0, 8), (40, 24))
