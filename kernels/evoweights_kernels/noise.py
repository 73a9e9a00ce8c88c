"""The random numbers in plain torch on the CPU: the definition every target must match bit for bit.

Integers are kept in int64 and masked to 32 bits; float32 steps are separate multiplications and additions.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from evoweights_kernels import constants as k
from evoweights_kernels import ieee
from evoweights_kernels.errors import KernelError
from evoweights_kernels.roles import Chance, Noise, Normal, Uniform, check_bits
from evoweights_kernels.scalars import chance_threshold, to_uint64

CHUNK_TILES = 32
"""Tiles at a time: cache-sized, and below the size from which torch shares each single operation among threads."""


def philox(c0: Tensor, c1: Tensor, c2: Tensor, c3: Tensor, key: tuple[int, int]) -> Tensor:
    """Philox4x32-10 of the counters (c0, c1, c2, c3), all below 2^32: int64 [4, *c0.shape]."""
    k0, k1 = key
    for _ in range(k.ROUNDS):
        high, low = k.MULTIPLIER_B * c2, k.MULTIPLIER_A * c0
        c0, c1, c2, c3 = (
            ((high >> 32) & k.MASK32) ^ c1 ^ k0,
            high & k.MASK32,
            ((low >> 32) & k.MASK32) ^ c3 ^ k1,
            low & k.MASK32,
        )
        k0, k1 = (k0 + k.KEY_STEP_0) & k.MASK32, (k1 + k.KEY_STEP_1) & k.MASK32
    return torch.stack((c0, c1, c2, c3))


def words(seed: int, stream: int, lanes: Tensor) -> Tensor:
    """The four 32-bit words of each lane number (int64 [n]), as int64 [4, n]."""
    seed, stream = to_uint64(seed), to_uint64(stream)
    low, high = torch.full_like(lanes, stream & k.MASK32), torch.full_like(lanes, stream >> 32)
    return philox(lanes & k.MASK32, (lanes >> 32) & k.MASK32, low, high, (seed & k.MASK32, seed >> 32))


def radius(v: Tensor, bits: int) -> Tensor:
    """sqrt(-2 ln((v+1) / 2^bits)) for integers v of 24 or 16 bits, by the scheme's own logarithm."""
    pattern = (v + 1).float().view(torch.int32)
    exponent = (pattern - k.SQRT_HALF_BITS) >> 23
    f = (pattern - (exponent << 23)).view(torch.float32) - 1.0
    p = torch.full_like(f, k.LOG_POLYNOMIAL[0])
    for coefficient in k.LOG_POLYNOMIAL[1:]:
        p = p * f + coefficient
    g = f * f
    log = (g * f) * p - g * 0.5
    log = log + f
    log = log + (exponent - bits).float() * k.LN2
    return ieee.sqrt(log * -2.0)


def angle(word: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of a whole 32-bit word's angle: two bits of quadrant, then the position in it."""
    quadrant = word >> 30
    position = (word << 2) & k.MASK32
    position = torch.where(position >= 1 << 31, position - (1 << 32), position) >> 8
    t = position.float() * 2.0**-24
    y = t * t
    sine, cosine = _polynomial(k.SINE_POLYNOMIAL, y) * t, _polynomial(k.COSINE_POLYNOMIAL, y)
    odd = (quadrant & 1) == 1
    return (
        _flip(torch.where(odd, sine, cosine), (quadrant ^ (quadrant >> 1)) & 1),
        _flip(torch.where(odd, cosine, sine), quadrant >> 1),
    )


def _polynomial(coefficients: tuple[float, ...], y: Tensor) -> Tensor:
    total = torch.full_like(y, coefficients[0])
    for coefficient in coefficients[1:]:
        total = total * y + coefficient
    return total


def _flip(value: Tensor, sign: Tensor) -> Tensor:
    return torch.where(sign == 1, -value, value)


def uniforms(seed: int, stream: int, count: int, *, bits: int = 32, first_gene: int = 0) -> Tensor:
    """Uniforms in [0, 1) of the genes first_gene .. first_gene + count - 1: float32 [count]."""
    check_bits(Uniform, bits)
    return _per_gene(partial(_uniform, bits=bits), seed, stream, count, bits, first_gene)


def normals(seed: int, stream: int, count: int, *, bits: int = 32, first_gene: int = 0) -> Tensor:
    """Standard normals of the genes first_gene .. first_gene + count - 1: float32 [count]."""
    check_bits(Normal, bits)
    return _per_gene(_normal32 if bits == 32 else _normal16, seed, stream, count, bits, first_gene)


def chances(seed: int, stream: int, count: int, *, probability: float, bits: int = 32, first_gene: int = 0) -> Tensor:
    """Conditions that hold with `probability` for the genes from first_gene on: bool [count]."""
    check_bits(Chance, bits)
    threshold = chance_threshold(probability, bits)
    drawn = random_bits(seed, stream, count, bits=bits, first_gene=first_gene)
    return (drawn >> 8 if bits == 32 else drawn) < threshold


def random_bits(seed: int, stream: int, count: int, *, bits: int, first_gene: int = 0) -> Tensor:
    """The raw bits (32, 16 or 8 a gene) of the genes from first_gene on: int64 [count]."""
    check_bits(Noise, bits)
    return _per_gene(partial(_fields, bits=bits), seed, stream, count, bits, first_gene)


def _per_gene(
    convert: Callable[[Tensor], list[Tensor]], seed: int, stream: int, count: int, bits: int, first_gene: int
) -> Tensor:
    if count < 0 or first_gene < 0:
        raise KernelError(f"count and first_gene must not be negative, found {count} and {first_gene}")
    lanes = k.lanes_per_tile(bits)
    first, last = first_gene // k.TILE, -(-(first_gene + count) // k.TILE)
    parts = []
    for start in range(first, max(last, first + 1), CHUNK_TILES):
        stop = min(start + CHUNK_TILES, last)
        drawn = words(seed, stream, torch.arange(start * lanes, stop * lanes))
        planes = convert(drawn.view(4, stop - start, lanes))
        parts.append(torch.stack(planes, dim=1).flatten())
    skipped = first_gene - first * k.TILE
    return torch.cat(parts)[skipped : skipped + count]


def _fields(drawn: Tensor, *, bits: int) -> list[Tensor]:
    mask = (1 << bits) - 1
    return [(word >> shift) & mask for word in drawn for shift in range(0, 32, bits)]


def _uniform(drawn: Tensor, *, bits: int) -> list[Tensor]:
    if bits == 32:
        return [(word >> 8).float() * 2.0**-24 for word in drawn]
    return [field.float() * 2.0**-bits for field in _fields(drawn, bits=bits)]


def _normal32(drawn: Tensor) -> list[Tensor]:
    planes = []
    for length, direction in ((drawn[0], drawn[1]), (drawn[2], drawn[3])):
        r = radius(length >> 8, 24)
        planes += [r * part for part in angle(direction)]
    return planes


def _normal16(drawn: Tensor) -> list[Tensor]:
    planes = []
    for word in drawn:
        r = radius(word >> 16, 16)
        planes += [r * part for part in angle((word << 16) & k.MASK32)]
    return planes
