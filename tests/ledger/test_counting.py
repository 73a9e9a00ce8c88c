"""Counting FLOPs while a forward pass is taken: what is counted, and that nothing else happens."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from evoweights.ledger.counting import ForwardFlops, flops_of

SIZES = st.integers(1, 9)


@settings(max_examples=20)
@given(rows=SIZES, inputs=SIZES, outputs=SIZES)
def test_a_product_of_matrices_takes_two_for_each_pair_of_factors(rows, inputs, outputs):
    layer = nn.Linear(inputs, outputs)
    assert flops_of(lambda: layer(torch.zeros(rows, inputs))) == 2 * rows * inputs * outputs


@settings(max_examples=20)
@given(batch=SIZES, heads=SIZES, queries=SIZES, keys=SIZES, width=SIZES)
def test_attention_takes_four_for_each_pair_of_places_and_element_of_a_head(batch, heads, queries, keys, width):
    """Torch's table lacks the kernel that a CPU uses."""
    query, key = torch.zeros(batch, heads, queries, width), torch.zeros(batch, heads, keys, width)
    counted = flops_of(lambda: functional.scaled_dot_product_attention(query, key, key))
    assert counted == 4 * batch * heads * queries * keys * width


def test_what_works_on_single_elements_counts_nothing():
    assert flops_of(lambda: torch.zeros(9).exp().sum()) == 0


def test_counting_draws_no_number_from_torch():
    torch.rand(1)
    before = torch.random.get_rng_state()
    flops_of(lambda: torch.rand(5))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_what_is_compiled_is_counted_as_it_is_written():
    layer = nn.Linear(3, 5)
    layer.compile(backend="eager")
    assert flops_of(lambda: layer(torch.zeros(2, 3))) == 60


def test_each_module_is_counted_once_and_only_when_asked():
    known, calls = ForwardFlops(), []
    small, large = nn.Linear(2, 3), nn.Linear(4, 5)

    def forward(layer):
        calls.append(layer)
        return layer(torch.zeros(1, layer.in_features))

    for layer in (small, large, small, large):
        assert known.flops(layer, lambda layer=layer: forward(layer), None) == 2 * layer.weight.numel()
    assert calls == [small, large]


def test_a_share_counts_the_elements_of_matrices():
    model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2))  # 24 and 12 elements; vectors do not count
    known = ForwardFlops()
    count = lambda share: known.flops(model, lambda: model(torch.zeros(1, 4)), share)  # noqa: E731
    assert count(None) == 72
    assert count({"0.weight": 0.5, "1.weight": 1.0}.__getitem__) == 48
    assert count(lambda name: 0.0) == 0


def test_a_module_that_has_no_matrix_has_no_share():
    model = nn.LayerNorm(3)
    assert ForwardFlops().flops(model, lambda: torch.zeros(2, 2) @ torch.zeros(2, 2), lambda name: 0.5) == 16
