"""The streams a launch draws from, as the generated texts number them."""

from evoweights_kernels.fuse import NoiseSource
from evoweights_kernels.weighted_noise.request import Shape

MEMBER, MASK, ROUNDING = 0, 1, 2

DRAWN = NoiseSource(16, as_bits=True)
"""What mask and rounding draw."""


def member_of(shape: Shape) -> NoiseSource:
    """What every member draws."""
    return NoiseSource(shape.bits, as_normal=True)


def drawn_once(shape: Shape) -> list[int]:
    """The sources a gene draws from once, however many members there are."""
    return [number for number, is_used in ((MASK, shape.has_mask), (ROUNDING, shape.is_stochastic)) if is_used]
