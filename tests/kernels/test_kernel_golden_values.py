"""The published numbers of ewphilox v1, on every target."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import SEED, TARGETS, call

from evoweights_kernels import Gene, Normal, apply_, gene_kernel, ieee, stream_id, words
from evoweights_kernels.noise import angle, philox, radius

STREAM = 0xFEDCBA9876543210
GOLDEN = [
    (0, 0, 0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8", "bf6cb6b0 bf7dbb31 bf1e1b9f bef6d1b1"),
    (SEED, STREAM, 5, "59d891d4 b8fbd93d c1942aeb 809c4b45", "bfb67dee 3e7debeb bf3f60b7 bc378be9"),
    (SEED, STREAM, (1 << 32) + 5, "dbf53b14 2c1e3d7c 9be4ef2a 9b36272b", "3ef922e4 be843d29 bf4830c6 bf1de8ce"),
]


@gene_kernel
def draw_normal(x: Gene, z: Normal) -> Gene:
    return z


draw_normal_16 = draw_normal.with_bits({"z": 16}, name="draw_normal_16")


def integers(text):
    return [int(word, 16) for word in text.split()]


def float_bits(tensor):
    return (tensor.view(torch.int32).long() & 0xFFFFFFFF).tolist()


def test_philox_agrees_with_random123():
    ones = torch.tensor([0xFFFFFFFF])
    found = philox(ones, ones, ones, ones, (0xFFFFFFFF, 0xFFFFFFFF))
    assert found.flatten().tolist() == integers("408f276d 41c83b0e a20bc7c6 6d5451fd")


@pytest.mark.parametrize(("seed", "stream", "lane", "expected", "_"), GOLDEN)
def test_words_are_the_published_ones(seed, stream, lane, expected, _):
    assert words(seed, stream, torch.tensor([lane])).flatten().tolist() == integers(expected)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("seed", "stream", "lane", "_", "expected"), GOLDEN)
def test_normals_are_the_published_ones_on_every_target(target, seed, stream, lane, _, expected):
    x = torch.zeros(1024)
    drawn = call(draw_normal, {"x": x}, streams={"z": stream})
    apply_([drawn], seed=seed, first_tile=lane // 256, backend=target)
    assert float_bits(x[lane % 256 :: 256]) == integers(expected)


@pytest.mark.parametrize("target", TARGETS)
def test_signed_and_unsigned_spellings_of_seed_and_stream_name_the_same_numbers(target):
    a, b = torch.zeros(1024), torch.zeros(1024)
    apply_([call(draw_normal, {"x": a}, streams={"z": STREAM})], seed=SEED | 1 << 63, backend=target)
    same = call(draw_normal, {"x": b}, streams={"z": STREAM - (1 << 64)})
    apply_([same], seed=(SEED | 1 << 63) - (1 << 64), backend=target)
    assert torch.equal(a, b) and a.unique().numel() > 1000


def test_radius_and_angle_are_the_published_ones():
    assert float_bits(radius(torch.tensor([0]), 24)) == integers("40b89456")
    cosine, sine = angle(torch.tensor([0x12345678]))
    assert float_bits(cosine) + float_bits(sine) == integers("3f66de80 3edd3a56")
    r = radius(torch.tensor([0x1234]), 16)
    cosine, sine = angle(torch.tensor([0x56780000]))
    assert float_bits(r * cosine) + float_bits(r * sine) == integers("bf9a330b 3ffaae19")


@pytest.mark.parametrize("target", ("cpu", "triton"))
def test_normals_of_16_bits_agree_on_every_target(target):
    expected, x = torch.zeros(3000), torch.zeros(3000)
    for tensor, backend in ((expected, "reference"), (x, target)):
        apply_([call(draw_normal_16, {"x": tensor}, streams={"z": STREAM})], seed=SEED, backend=backend)
    assert float_bits(x) == float_bits(expected)


def test_a_stream_is_named_by_the_blake2b_of_its_path():
    # 786a02f742015903... is the published BLAKE2b-512 digest of nothing.
    assert stream_id("") == int.from_bytes(bytes.fromhex("786a02f742015903"), "little")
    assert stream_id("generation 12/crossover/individual 3/take") == 0x0D2395D172F10353


@given(st.lists(st.floats(min_value=0.0, width=32), min_size=1, max_size=40))
def test_the_square_root_is_correctly_rounded(values):
    """Exact arithmetic: the squares of the two midpoints next to a rounded root enclose the number."""
    for value, root in zip(values, ieee.sqrt(torch.tensor(values)).tolist(), strict=True):
        if value in (0.0, math.inf):
            assert root == value
            continue
        below, above = (float(np.nextafter(np.float32(root), np.float32(end))) for end in (0.0, math.inf))
        low, high = (Fraction(root) + Fraction(below)) / 2, (Fraction(root) + Fraction(above)) / 2
        assert low * low <= Fraction(value) <= high * high
