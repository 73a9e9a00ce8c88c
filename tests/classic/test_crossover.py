"""Crossover: what the conformance kit, which the built-in operators are held to, does not say of them."""

import pytest
import torch

from evoweights.testing.populations import BACKENDS, bits, move, share_z
from evoweights.testing.strategies import genes_of
from evoweights_classic import ArithmeticCrossover, Crossover, Mix

every_target = pytest.mark.parametrize("backend", BACKENDS)
every_width = pytest.mark.parametrize("width", [8, 16, 32])

BLENDS = [ArithmeticCrossover, Mix]
N = 2**18


def parents():
    return (genes_of(seed, 4097, torch.float32, extreme_share=0.0) for seed in (1, 2))


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


def test_widths_other_than_8_16_and_32_are_refused():
    with pytest.raises(ValueError, match="bits: found 12, allowed are 8, 16 and 32"):
        Crossover(bits=12)


@pytest.mark.parametrize("blend", BLENDS)
@every_target
@pytest.mark.parametrize("weight", [0.25, 0.5, 0.75])
def test_a_blend_moves_with_its_parents(blend, backend, weight):
    """X08: bitwise for whole numbers and quarters, which round nothing."""
    x, other = ((each % 1000 - 500).round() for each in parents())
    child = move(blend(weight=weight), x, other, backend=backend).genes
    assert bits(move(blend(weight=weight), x + 64.0, other + 64.0, backend=backend).genes) == bits(child + 64.0)


@pytest.mark.parametrize("blend", BLENDS)
@every_target
@pytest.mark.parametrize("weight", [0.1, 0.5, 0.9])
def test_a_blend_is_the_weighted_mean_in_float64_to_two_ulp(blend, backend, weight):
    """X08, G17."""
    x, other = parents()
    exact = (1 - weight) * x.double() + weight * other.double()
    scale = torch.maximum(x.abs(), other.abs()).double()
    child = move(blend(weight=weight), x, other, backend=backend).genes.double()
    assert bool(((child - exact).abs() <= 2 * torch.finfo(torch.float32).eps * scale).all())
