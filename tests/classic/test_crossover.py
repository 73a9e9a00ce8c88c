"""Crossover: uniform, arithmetic, and EOE's mix, on every target."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evoweights.testing.populations import BACKENDS, bits, mean_z, move, share_z
from evoweights.testing.strategies import DTYPES, SIZES, genes_of
from evoweights_classic import ArithmeticCrossover, Crossover, Mix

every_target = pytest.mark.parametrize("backend", BACKENDS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
every_size = pytest.mark.parametrize("size", SIZES)
every_width = pytest.mark.parametrize("width", [8, 16, 32])
few = settings(max_examples=6)

BLENDS = [ArithmeticCrossover, Mix]
N = 2**18


def parents(size, dtype, seed=0, share=0.3):
    return (genes_of([seed, row], size, dtype, extreme_share=share) for row in (1, 2))


def same_bits(left, right):
    """Per gene, whether the bytes are equal."""
    whole = torch.int32 if left.dtype == torch.float32 else torch.int16
    return left.view(whole) == right.view(whole)


# Uniform


@every_target
@every_dtype
@every_size
def test_every_gene_is_one_parents(backend, dtype, size):
    """X01, X11: bytewise, also for extreme numbers; the source keeps its bytes."""
    x, other = parents(size, dtype)
    made = move(Crossover(rate=0.6), x, other, backend=backend)
    assert bool((same_bits(made.genes, x) | same_bits(made.genes, other)).all())
    assert bits(made.source) == bits(other)


@every_target
@every_dtype
@every_width
def test_rate_0_takes_nothing_and_rate_1_everything(backend, dtype, width):
    """X02, at every width of the random numbers."""
    x, other = parents(1025, dtype, share=1.0)
    assert bits(move(Crossover(rate=0.0, bits=width), x, other, backend=backend).genes) == bits(x)
    assert bits(move(Crossover(rate=1.0, bits=width), x, other, backend=backend).genes) == bits(other)


@every_target
@every_dtype
@few
@given(seed=st.integers(0, 2**32), rate=st.floats(0, 1))
def test_equal_parents_have_that_child(backend, dtype, seed, rate):
    """X03."""
    x = genes_of(seed, 1023, dtype)
    assert bits(move(Crossover(rate=rate), x, x.clone(), seed=seed, backend=backend).genes) == bits(x)


@every_target
@every_dtype
@few
@given(seed=st.integers(0, 2**32), rate=st.sampled_from((0.25, 0.6)))
def test_exchanging_the_parents_gives_the_complementary_child(backend, dtype, seed, rate):
    """X04: at every gene the two children hold the genes of the two parents."""
    x, other = parents(1025, dtype, seed)
    first = move(Crossover(rate=rate), x, other, seed=seed, backend=backend).genes
    second = move(Crossover(rate=rate), other, x, seed=seed, backend=backend).genes
    took = ~same_bits(first, x)
    assert bits(second) == bits(torch.where(took, x, torch.where(same_bits(x, other), x, other)))


@every_target
@every_width
@pytest.mark.parametrize("rate", [0.25, 0.6, 0.001])
def test_the_share_of_the_other_parent_is_the_rate(backend, width, rate):
    """X05: within 5 standard deviations of the rate that so many bits can express."""
    steps = {8: 2**8, 16: 2**16, 32: 2**24}[width]
    expressed = round(rate * steps) / steps
    assert abs(expressed - rate) <= 0.5 / steps
    made = move(Crossover(rate=rate, bits=width), torch.zeros(N), torch.ones(N), backend=backend)
    taken = float(made.genes.double().sum())
    assert taken == 0 if expressed == 0 else abs(share_z(taken, N, expressed)) < 5


@every_width
def test_genes_are_taken_one_by_one_and_everywhere(width):
    """X05: the counts in blocks of any size are binomial, and no place is preferred."""
    taken = move(Crossover(rate=0.5, bits=width), torch.zeros(N), torch.ones(N)).genes
    for block in (4, 32, 64, 128, 1024):
        for counts in (taken.view(-1, block).sum(1), taken.view(block, -1).sum(1)):
            spread = float(((counts - counts.numel() ** 0 * len(taken) * 0.5 / len(counts)) ** 2).mean())
            expected = len(taken) / len(counts) / 4
            assert abs(spread / expected - 1) < 5 * (2 / len(counts)) ** 0.5
    for distance in (1, 2, 4, 32, 256, 1024):
        agree = float((taken[distance:] == taken[:-distance]).sum())
        assert abs(share_z(agree, N - distance, 0.5)) < 5


def test_widths_other_than_8_16_and_32_are_refused():
    with pytest.raises(ValueError, match="bits: found 12, allowed are 8, 16 and 32"):
        Crossover(bits=12)


# Arithmetic


@pytest.mark.parametrize("blend", BLENDS)
@every_target
@every_dtype
@few
@given(seed=st.integers(0, 2**32), weight=st.floats(0, 1), share=st.sampled_from((0.0, 0.3, 1.0)))
def test_a_blend_lies_between_its_parents(blend, backend, dtype, seed, weight, share):
    """X07: never outside, also where the difference overflows; bfloat16 rounding cannot leave it either."""
    x, other = parents(1025, dtype, seed, share)
    child = move(blend(weight=weight), x, other, seed=seed, backend=backend).genes
    assert bool((child >= torch.minimum(x, other)).all())
    assert bool((child <= torch.maximum(x, other)).all())


@pytest.mark.parametrize("blend", BLENDS)
@every_target
@every_dtype
@every_size
def test_the_ends_are_the_parents(blend, backend, dtype, size):
    """X02 for arithmetic crossover: bytewise, -0 included."""
    x, other = parents(size, dtype)
    assert bits(move(blend(weight=0.0), x, other, backend=backend).genes) == bits(x)
    assert bits(move(blend(weight=1.0), x, other, backend=backend).genes) == bits(other)


@pytest.mark.parametrize("blend", BLENDS)
@every_target
@every_dtype
@few
@given(seed=st.integers(0, 2**32), weight=st.floats(0, 1))
def test_equal_parents_blend_to_themselves(blend, backend, dtype, seed, weight):
    """X03 for arithmetic crossover: a weighted sum would miss it for one gene in twenty."""
    x = genes_of(seed, 1025, dtype)
    assert bits(move(blend(weight=weight), x, x.clone(), seed=seed, backend=backend).genes) == bits(x)


@every_target
@few
@given(seed=st.integers(0, 2**32), low=st.floats(0, 1, width=32), high=st.floats(0, 1, width=32))
def test_a_blend_moves_one_way_as_the_weight_grows(backend, seed, low, high):
    """X07."""
    low, high = sorted((low, high))
    x, other = parents(1025, torch.float32, seed)
    near, far = (move(Mix(weight=each), x, other, backend=backend).genes for each in (low, high))
    assert bool(torch.where(other >= x, far >= near, far <= near).all())


@pytest.mark.parametrize("blend", BLENDS)
@every_target
@every_dtype
@pytest.mark.parametrize("factor", [0.25, 2.0, -4.0])
def test_a_blend_scales_with_its_parents(blend, backend, dtype, factor):
    """X08: bitwise for powers of two."""
    x, other = parents(4097, dtype, share=0.0)
    blend = blend(weight=0.3, rounding="nearest")
    scaled = move(blend, x * factor, other * factor, backend=backend).genes
    assert bits(scaled) == bits(move(blend, x, other, backend=backend).genes * factor)


@pytest.mark.parametrize("blend", BLENDS)
@every_target
@pytest.mark.parametrize("weight", [0.25, 0.5, 0.75])
def test_a_blend_moves_with_its_parents(blend, backend, weight):
    """X08: bitwise for whole numbers and quarters, which round nothing."""
    x, other = ((each % 1000 - 500).round() for each in parents(4097, torch.float32, share=0.0))
    child = move(blend(weight=weight), x, other, backend=backend).genes
    assert bits(move(blend(weight=weight), x + 64.0, other + 64.0, backend=backend).genes) == bits(child + 64.0)


@pytest.mark.parametrize("blend", BLENDS)
@every_target
@pytest.mark.parametrize("weight", [0.1, 0.5, 0.9])
def test_a_blend_is_the_weighted_mean_in_float64_to_two_ulp(blend, backend, weight):
    """X08, G17."""
    x, other = parents(4097, torch.float32, share=0.0)
    exact = (1 - weight) * x.double() + weight * other.double()
    scale = torch.maximum(x.abs(), other.abs()).double()
    child = move(blend(weight=weight), x, other, backend=backend).genes.double()
    assert bool(((child - exact).abs() <= 2 * torch.finfo(torch.float32).eps * scale).all())


@every_target
def test_stochastic_rounding_of_a_blend_is_unbiased_and_nearest_is_not(backend):
    """G17: one step of EOE's mix, too small for bfloat16."""
    x, other = torch.ones(2**16, dtype=torch.bfloat16), torch.full((2**16,), 1.0078125, dtype=torch.bfloat16)
    nearest = move(Mix(weight=0.1, rounding="nearest"), x, other, backend=backend).genes
    stochastic = move(Mix(weight=0.1), x, other, backend=backend).genes
    assert bits(nearest) == bits(x)
    assert set(stochastic.tolist()) == {1.0, 1.0078125}
    assert abs(mean_z(stochastic.float(), 1.0 + 0.1 * 0.0078125)) < 5
