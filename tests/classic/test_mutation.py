"""Masked Gaussian mutation on every target."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evoweights.testing.populations import BACKENDS, bits, mean_z, mixed_layout, move, population_of, share_z, vary_
from evoweights.testing.strategies import DTYPES, SIZES, genes_of
from evoweights_classic import Mutation
from evoweights_kernels import Call, apply_, bodies

every_target = pytest.mark.parametrize("backend", BACKENDS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
few = settings(max_examples=6)
N = 2**18


def absolute(**settings_):
    """A mutation whose sigma is in units of the weights."""
    return Mutation(relative_to="nothing", direction="current_to_others", **settings_)


def mutated(operator, x, *, seed=1, backend="reference"):
    return move(operator, x, x.clone(), seed=seed, backend=backend).genes


@every_target
@every_dtype
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("settings_", [{"rate": 0.0, "sigma": 1.0}, {"rate": 1.0, "sigma": 0.0}], ids=["rate", "sigma"])
def test_rate_0_and_sigma_0_change_nothing(backend, dtype, size, settings_):
    """M01: bitwise, extreme numbers included."""
    x = genes_of(7, size, dtype)
    for relative_to in ("rms", "nothing"):
        assert bits(mutated(Mutation(relative_to=relative_to, **settings_), x, backend=backend)) == bits(x)


@every_target
@every_dtype
@few
@given(seed=st.integers(0, 2**32), rate=st.floats(0, 1))
def test_untouched_genes_keep_their_bytes(backend, dtype, seed, rate):
    """M02: the mask does not depend on sigma, so two sigmas leave the same genes alone."""
    x = genes_of(seed, 1025, dtype, extreme_share=0.5)
    small = mutated(absolute(rate=rate, sigma=1e-3), x, seed=seed, backend=backend)
    large = mutated(absolute(rate=rate, sigma=1e36), x, seed=seed, backend=backend)
    whole = torch.int32 if dtype == torch.float32 else torch.int16
    touched = large.view(whole) != x.view(whole)
    assert bits(small[~touched]) == bits(x[~touched])


@every_target
@pytest.mark.parametrize("rate", [0.001, 0.25, 1.0])
def test_the_share_of_touched_genes_is_the_rate_everywhere(backend, rate):
    """M03: in the whole and in every sixteenth of the genome, and at every place of a tile."""
    touched = mutated(absolute(rate=rate, sigma=1.0), torch.full((N,), 2.0), backend=backend) != 2.0
    if rate == 1.0:
        assert float((~touched).sum()) < 10  # a step may round to nothing
        return
    assert abs(share_z(float(touched.sum()), N, rate)) < 5
    for counts in (touched.view(16, -1).sum(1), touched.view(-1, 1024).sum(0).view(16, -1).sum(1)):
        assert all(abs(share_z(float(count), N // 16, rate)) < 5 for count in counts)


@every_target
def test_the_noise_is_a_standard_normal_times_sigma(backend):
    """M04: mean, variance, symmetry, kurtosis and the tails."""
    z = (mutated(absolute(rate=1.0, sigma=2.0), torch.zeros(N), backend=backend) / 2.0).double()
    assert abs(mean_z(z, 0.0)) < 5
    assert abs(mean_z(z**2, 1.0)) < 5
    assert abs(mean_z(z**3, 0.0)) < 5
    assert abs(mean_z(z**4, 3.0)) < 5
    for edge in (0.0, 0.6745, 1.0, 2.0, 3.0):
        assert abs(share_z(float((z > edge).sum()), N, 0.5 * math.erfc(edge / 2**0.5))) < 5
        assert abs(share_z(float((z < -edge).sum()), N, 0.5 * math.erfc(edge / 2**0.5))) < 5


def test_the_noise_of_neighbouring_genes_is_independent():
    """M04."""
    z = mutated(absolute(rate=1.0, sigma=1.0), torch.zeros(N))
    for distance in (1, 2, 3, 128, 256, 512, 1024):
        pair = torch.stack([z[distance:], z[:-distance]])
        assert abs(float(torch.corrcoef(pair)[0, 1])) < 5 / (N - distance) ** 0.5
        assert abs(float(torch.corrcoef(pair.square())[0, 1])) < 5 / (N - distance) ** 0.5


def test_tensors_of_one_shape_get_different_noise():
    """M04: the place in the genome is part of the noise."""
    z = mutated(absolute(rate=1.0, sigma=1.0), torch.zeros(2 * 4096)).view(2, 4096)
    assert abs(float(torch.corrcoef(z)[0, 1])) < 5 / 4096**0.5


@every_target
@pytest.mark.parametrize("factor", [0.25, 2.0])
def test_the_noise_is_proportional_to_sigma(backend, factor):
    """M05: bitwise for powers of two."""
    x = torch.zeros(4097)
    once = mutated(absolute(rate=0.5, sigma=0.1), x, backend=backend)
    assert bits(mutated(absolute(rate=0.5, sigma=0.1 * factor), x, backend=backend)) == bits(once * factor)


@every_target
@every_dtype
@few
@given(seed=st.integers(0, 2**63), rate=st.sampled_from((0.3, 1.0)))
def test_the_same_noise_with_the_other_sign_is_its_mirror_image(backend, dtype, seed, rate):
    """M06: bytewise, and a pair adds up to twice its centre."""
    made = []
    for sigma in (0.25, -0.25):
        x, scale = torch.zeros(4097, dtype=dtype), torch.full((5,), 0.5)
        call = Call(
            bodies.gaussian_mutation,
            {"x": x, "scale": scale},
            {"sigma": sigma, "touched": rate},
            {"touched": 1, "z": 2},
        )
        apply_([call], seed=seed, backend=backend)
        made.append(x)
    touched = made[0] != 0
    assert int(touched.sum()) > 0
    assert bits(made[1][touched]) == bits(-made[0][touched])
    assert bits(made[1][~touched]) == bits(torch.zeros(4097, dtype=dtype)[~touched])
    centre = torch.full((4097,), 3.0)
    assert bool(((centre + made[0].float()) + (centre + made[1].float()) - 6.0).abs().max() <= 1e-6)


@every_target
def test_bfloat16_weights_get_the_noise_that_is_asked_for(backend):
    """M08: noise far below a bfloat16 step is realised on average with stochastic rounding, and lost to nearest."""
    x = torch.ones(N, dtype=torch.bfloat16)
    lost = mutated(absolute(rate=1.0, sigma=1e-4, rounding="nearest"), x, backend=backend)
    assert bits(lost) == bits(x)
    kept = mutated(absolute(rate=1.0, sigma=1e-4), x, backend=backend).float()
    assert set(kept.tolist()) <= {1.0 - 2**-8, 1.0, 1.0 + 2**-7}
    assert abs(mean_z(kept, 1.0)) < 5
    wide = mutated(absolute(rate=1.0, sigma=0.05), x, backend=backend).float()
    assert float(wide.std()) > 0.95 * 0.05


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
