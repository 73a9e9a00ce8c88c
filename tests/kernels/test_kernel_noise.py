"""The noise is what its names say: uniform, normal, independent; z-tests with |z| < 5 on fixed seeds."""

import math

import pytest
import torch
from kernel_cases import SEED, TARGETS, call
from kernel_statistics import chi_square_z, kolmogorov, normal_cdf

from evoweights_kernels import (
    Chance,
    Gene,
    KernelError,
    Scalar,
    Uniform,
    apply_,
    chances,
    gene_kernel,
    normals,
    uniforms,
    where,
)

COUNT = 1 << 18


@pytest.mark.parametrize("bits", (32, 16, 8))
def test_uniforms_fill_their_range_evenly(bits):
    u = uniforms(SEED, 1, COUNT, bits=bits).double()
    assert float(u.min()) >= 0.0 and float(u.max()) < 1.0
    assert torch.equal(u * 2.0 ** min(bits, 24), (u * 2.0 ** min(bits, 24)).round())
    assert abs(chi_square_z(torch.histc(u, 256, 0.0, 1.0))) < 5


@pytest.mark.parametrize("bits", (32, 16))
def test_normals_have_the_moments_and_the_shape_of_a_normal(bits):
    z = normals(SEED, 2, COUNT, bits=bits).double()
    root = math.sqrt(COUNT)
    assert abs(float(z.mean())) * root < 5
    assert abs(float((z * z).mean()) - 1) * root / math.sqrt(2) < 5
    assert abs(float((z**3).mean())) * root / math.sqrt(15) < 5
    assert abs(float((z**4).mean()) - 3) * root / math.sqrt(96) < 5
    assert kolmogorov(z, normal_cdf) < 2.5
    assert float(z.abs().max()) <= (5.78 if bits == 32 else 4.72)


@pytest.mark.parametrize("bits", (32, 16, 8))
def test_chances_hold_as_often_as_asked_and_ends_are_certain(bits):
    assert not chances(SEED, 3, COUNT, probability=0.0, bits=bits).any()
    assert chances(SEED, 3, COUNT, probability=1.0, bits=bits).all()
    share = float(chances(SEED, 3, COUNT, probability=0.6, bits=bits).double().mean())
    exact = round(0.6 * 2**bits) / 2**bits
    assert abs(share - exact) * math.sqrt(COUNT / (exact * (1 - exact))) < 5


@pytest.mark.parametrize("shift", (1, 64, 128, 256, 512, 1024))
def test_neighbouring_genes_are_independent(shift):
    z = normals(SEED, 4, COUNT).double()
    assert abs(float((z[shift:] * z[:-shift]).sum())) / math.sqrt(COUNT) < 5


@pytest.mark.parametrize(("seed", "stream"), [(SEED, 6), (SEED + 1, 5), (5, SEED), (SEED, 5 + (1 << 32))])
def test_streams_and_seeds_are_independent(seed, stream):
    a, b = normals(SEED, 5, COUNT).double(), normals(seed, stream, COUNT).double()
    assert abs(float((a * b).sum())) / math.sqrt(COUNT) < 5
    assert float((a == b).double().mean()) < 1e-4


@pytest.mark.parametrize("draw", (uniforms, normals))
@pytest.mark.parametrize("bits", (32, 16))
def test_a_gene_has_its_number_wherever_one_starts(draw, bits):
    whole = draw(SEED, 7, 5000, bits=bits, first_gene=3000)
    for start, count in ((3000, 1), (3001, 2100), (4095, 2), (7999, 1)):
        assert torch.equal(draw(SEED, 7, count, bits=bits, first_gene=start), whole[start - 3000 :][:count])
    assert draw(SEED, 7, 0, bits=bits, first_gene=10).numel() == 0


@pytest.mark.parametrize(("count", "first"), [(-1, 0), (3, -1)])
def test_genes_are_counted_from_zero(count, first):
    with pytest.raises(KernelError, match=f"count and first_gene must not be negative, found {count} and {first}"):
        normals(1, 1, count, bits=16, first_gene=first)


def test_widths_that_do_not_exist_are_refused():
    with pytest.raises(KernelError, match=r"Normal\[8\] does not exist; Normal takes \[32, 16\] bits"):
        normals(1, 1, 1, bits=8)
    with pytest.raises(KernelError, match=r"within \[0, 1\], found 1.5"):
        chances(1, 1, 1, probability=1.5)


@gene_kernel
def draw_uniforms(x: Gene, a: Uniform, b: Uniform[16], c: Uniform[8], wanted: Scalar) -> Gene:
    return where(wanted == 32.0, a, where(wanted == 16.0, b, c))


@gene_kernel
def draw_chances(x: Gene, a: Chance, b: Chance[16], c: Chance[8]) -> Gene:
    return where(a, 4.0, 0.0) + where(b, 2.0, 0.0) + where(c, 1.0, 0.0)


@pytest.mark.parametrize("target", TARGETS)
def test_kernels_draw_the_documented_numbers_also_of_several_widths_at_once(target):
    streams = {"a": 8, "b": 9, "c": 10}
    for bits, stream in ((32, 8), (16, 9), (8, 10)):
        x = torch.zeros(2500)
        apply_([call(draw_uniforms, {"x": x}, {"wanted": bits}, streams)], seed=SEED, first_tile=3, backend=target)
        assert torch.equal(x, uniforms(SEED, stream, 2500, bits=bits, first_gene=3 * 1024))
    x, rates = torch.zeros(2500), {"a": 0.9, "b": 0.5, "c": 0.1}
    apply_([call(draw_chances, {"x": x}, rates, streams)], seed=SEED, first_tile=3, backend=target)
    drawn = [
        chances(SEED, stream, 2500, probability=rates[name], bits=bits, first_gene=3 * 1024)
        for name, bits, stream in (("a", 32, 8), ("b", 16, 9), ("c", 8, 10))
    ]
    assert torch.equal(x, drawn[0] * 4.0 + drawn[1] * 2.0 + drawn[2] * 1.0)
