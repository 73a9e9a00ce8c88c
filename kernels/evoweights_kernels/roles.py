"""Roles: the annotations that say what each argument of a body is."""

from functools import cache

from evoweights_kernels.errors import KernelError
from evoweights_kernels.trace import Value


class Gene(Value):
    """One gene of a genome, as float32. The first `Gene` is the target and is written; others are read only."""


class State(Value):
    """One gene's value in a named state such as a velocity or a moment: read, and written back."""


class Scalar(Value):
    """One number for the whole launch, rounded to float32 on the host."""


class TileScalar(Value):
    """One float32 per tile of 1,024 genes, such as the RMS of the segment the tile lies in."""


class Noise(Value):
    """Common part of the noise roles; `Uniform[16]` is `Uniform` made from 16 bits per gene."""

    bits = 32
    widths: tuple[int, ...] = (32, 16, 8)

    def __class_getitem__(cls, bits: int) -> "type[Noise]":
        return _narrowed(cls, bits)


class Uniform(Noise):
    """Uniform in [0, 1): a multiple of 2^-24, 2^-16 or 2^-8 for 32, 16 or 8 bits."""


class Normal(Noise):
    """Standard normal by Box-Muller: |z| <= 5.77 from 32 bits, |z| <= 4.71 from 16."""

    widths = (32, 16)


class Chance(Noise):
    """A condition, true with the probability passed under the argument's name."""


ROLES: tuple[type[Value], ...] = (Gene, State, Scalar, TileScalar, Uniform, Normal, Chance)


@cache
def _narrowed(role: type[Noise], bits: int) -> type[Noise]:
    check_bits(role, bits)
    return type(f"{role.__name__}[{bits}]", (role,), {"bits": bits, "__doc__": role.__doc__})


def check_bits(role: type[Noise], bits: int) -> None:
    """Refuse a width the role does not offer.

    Raises:
        KernelError: the width is not one of the role's.
    """
    if bits not in role.widths:
        raise KernelError(f"{role.__name__}[{bits}] does not exist; {role.__name__} takes {list(role.widths)} bits")
