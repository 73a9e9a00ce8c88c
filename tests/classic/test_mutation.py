"""Gaussian mutation: what its noise is relative to. The rest is the conformance kit's, which the operator is held to."""

import math

import pytest
import torch

from evoweights.testing.populations import BACKENDS, bits, mixed_layout, move, population_of, vary_
from evoweights_classic import Mutation

every_target = pytest.mark.parametrize("backend", BACKENDS)


def mutated(operator, x):
    return move(operator, x, x.clone(), backend="reference").genes


@every_target
def test_relative_noise_is_a_share_of_each_tensors_own_size(backend):
    """M04: the scale is the root mean square of the gene's tensor, not of the genome or the tile."""
    population = population_of(mixed_layout(), 2)
    before = []
    for index, segment in enumerate(population.layout.segments):
        segment.view(population.row(1)).fill_(10.0**index)
        before.append(10.0**index)
    vary_(population, Mutation(scope="all", rate=1.0, sigma=0.1), backend=backend)
    for size, segment in zip(before, population.layout.segments, strict=True):
        if segment.role != "frozen" and segment.count > 1000:
            noise = segment.view(population.row(1)).double() - size
            assert float(noise.std()) == pytest.approx(0.1 * size, rel=5 / (2 * segment.count) ** 0.5)


def test_relative_noise_of_a_zero_tensor_is_zero():
    x = torch.zeros(2000)
    assert bits(mutated(Mutation(rate=1.0, sigma=1.0), x)) == bits(x)


def test_ill_genes_do_not_spoil_the_scale_of_the_others():
    """G15."""
    x = torch.full((4096,), 2.0)
    x[::512] = torch.tensor([math.nan, math.inf] * 4)
    made = mutated(Mutation(rate=1.0, sigma=0.1), x)
    healthy = made[x == 2.0]
    assert float((healthy - 2.0).std()) == pytest.approx(0.2, rel=0.06)
