"""Values are equal byte for byte, and the first place where they are not is told with both values."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evoweights.testing.comparing import bits, expect_same, unlike
from evoweights.testing.populations import mixed_layout
from evoweights.testing.strategies import dtypes, genes_of


@given(seed=st.integers(0, 2**32 - 1), dtype=dtypes, place=st.integers(0, 999), count=st.integers(1, 9))
def test_the_first_of_the_elements_that_differ_is_named_with_both_values(seed, dtype, place, count):
    one = genes_of(seed, 1010, dtype)
    other = one.clone()
    other[place : place + count] = torch.where(one[place : place + count] == 3.0, 4.0, 3.0)
    told = unlike({"weights": bits(one)}, {"weights": bits(other)})
    many = f"; {count} of 1010 differ" if count > 1 else ""
    assert told == f"weights: element {place} is {float(one[place]):.9g}, not {float(other[place]):.9g}{many}"
    assert not unlike(bits(one), bits(one.clone()))


def test_zeros_of_both_signs_and_two_kinds_of_nan_are_told_apart():
    assert unlike(bits(torch.tensor(-0.0)), bits(torch.tensor(0.0))) == "element 0 is -0, not 0"
    quiet, other = (torch.tensor([each], dtype=torch.int32).view(torch.float32) for each in (0x7FC00000, 0x7FC00001))
    assert not unlike(bits(quiet), bits(quiet))
    assert unlike(bits(quiet), bits(other)) == "element 0 is nan (0x7fc00000), not nan (0x7fc00001)"


def test_a_gene_is_told_by_the_tensor_it_is_in():
    layout = mixed_layout()
    genome = torch.zeros(layout.size)
    for segment in layout.segments:
        for index in {0, segment.count - 1} if segment.count else ():
            other = genome.clone()
            segment.view(other).view(-1)[index] = 1.0
            assert unlike(bits(other), bits(genome), layout=layout).startswith(
                f"gene {index} of {segment.name} is 1, not 0"
            )
    genome[-1] = 1.0
    assert unlike(bits(genome), bits(torch.zeros(layout.size)), layout=layout).startswith(
        f"element {layout.size - 1}, which is padding, is 1, not 0"
    )


UNLIKE = [
    (1, 1.0, "1, not 1.0"),
    (True, 1, "True, not 1"),
    (-0.0, 0.0, "-0.0, not 0.0"),
    (bits(torch.tensor([1.0])), bits(torch.tensor([0x3F800000], dtype=torch.int32)), "<1 of float32: "),
    (torch.tensor(1.0), torch.tensor(1), "<1 of float32: "),
    (torch.tensor([1.0, 2.0]), torch.tensor([1.0, -0.0]), "element 1 is 2, not -0"),
    (torch.zeros(2, 3), torch.zeros(3, 2), "tensor of shape (2, 3), not tensor of shape (3, 2)"),
    (type("One", (str,), {})("a"), type("Other", (str,), {})("a"), "'a' of class One, not 'a' of class Other"),
]


@pytest.mark.parametrize(("found", "wanted", "told"), UNLIKE, ids=lambda each: str(each)[:12])
def test_what_python_calls_equal_is_told_apart_by_type_and_bytes(found, wanted, told):
    assert unlike(found, wanted).startswith(told)
    assert unlike({"a": [found]}, {"a": [wanted]}).startswith(f"a, number 0: {told}")
    assert not unlike([found], [copy.deepcopy(found)])


def test_bits_of_two_types_differ_and_equal_ones_have_one_hash():
    one, other = bits(torch.tensor([1.0])), bits(torch.tensor([0x3F800000], dtype=torch.int32))
    assert one != other and bytes(one) == bytes(other)
    again = bits(torch.tensor([1.0]))
    assert one == again and {one: 1}[again] == 1 and one == bytes(one) and bits(torch.tensor([])) != ""
    assert (one == other, one != again) == (False, False)


def test_how_many_differ_is_counted_among_genes():
    layout = mixed_layout()
    zeros, ones = torch.zeros(layout.size), torch.ones(layout.size)
    count = sum(each.count for each in layout.segments)
    assert unlike(bits(ones), bits(zeros), layout=layout).endswith(f"is 1, not 0; {count} of {count} genes differ")
    for segment in layout.segments:
        segment.view(ones).zero_()
    padding = layout.size - count
    told = unlike(bits(ones), bits(zeros), layout=layout)
    assert told.endswith(f", which is padding, is 1, not 0; {padding} of {padding} elements of padding differ")
    last = next(each for each in reversed(layout.segments) if each.count)
    last.view(ones).view(-1)[0] = 1.0
    assert unlike(bits(ones), bits(zeros), layout=layout) == f"gene 0 of {last.name} is 1, not 0"


def test_where_in_lists_and_mappings_is_told_in_words():
    one, other = {"left": [1, [2.0, float("nan")]]}, {"left": [1, [2.5, float("nan")]]}
    assert unlike(one, other, counted=["individual", "loss"]) == "left, individual 1, loss 0: 2.0, not 2.5"
    assert not unlike(one, copy.deepcopy(one))
    assert unlike({"a": 1}, {"b": 1}) == "{'a': 1}, not {'b': 1}"
    assert unlike((1, 2), (1, 2, 3)) == "(1, 2), not (1, 2, 3)"


def test_what_is_long_is_cut_and_tensors_show_themselves_in_a_few_words():
    assert len(unlike("x" * 10**6, "y" * 10**6)) < 500
    shown = repr(bits(torch.zeros(10**6, dtype=torch.bfloat16)))
    assert shown.startswith("<1000000 of bfloat16: ") and len(shown) < 50


def test_what_is_said_comes_first():
    with pytest.raises(AssertionError, match=r"^it changed: number 1: 3, not 2$"):
        expect_same([1, 3], [1, 2], "it changed")
    expect_same([1, 2], [1, 2], "it changed")
