"""Numbers prepared on the host, once, so that every target starts from the same bits."""

import hashlib
import struct

from evoweights_kernels.constants import MASK64
from evoweights_kernels.errors import KernelError


def to_float32(value: float) -> float:
    """`value` rounded to the nearest float32 (ties to even), as a Python float; too large becomes infinite."""
    try:
        return struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def float32_bits(value: float) -> int:
    """The 32 bits of a float32 value as an unsigned integer."""
    return struct.unpack("<I", struct.pack("<f", value))[0]


def to_uint64(value: int) -> int:
    """A seed or stream modulo 2^64, so that signed and unsigned spellings name the same numbers."""
    return value & MASK64


def chance_threshold(probability: float, bits: int) -> int:
    """The integer T for which `bits < T` has the given probability; at 32 bits the top 24 are compared.

    Probability 1 is certain and 0 impossible at every width; in between it is rounded to a multiple of
    2^-24, 2^-16 or 2^-8.

    Raises:
        KernelError: the probability is not within [0, 1].
    """
    if not 0.0 <= probability <= 1.0:
        raise KernelError(f"a probability must lie within [0, 1], found {probability!r}")
    return round(probability * (1 << (24 if bits == 32 else bits)))


def stream_id(path: str) -> int:
    """The 64-bit stream named by a path such as `generation 12/crossover/individual 3/take`.

    It is the first 8 bytes, little-endian, of the BLAKE2b digest of the UTF-8 path: the same on every machine.
    """
    return int.from_bytes(hashlib.blake2b(path.encode()).digest()[:8], "little")
