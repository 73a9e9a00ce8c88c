"""What a run has cost, as plain numbers."""

from dataclasses import dataclass
from typing import TypeVar

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Measured:
    """What was measured while a run worked, with what interruptions made it do again; None is unknown.

    ``bytes_moved`` went between the homes of individuals and the live module; ``joules`` are what the machine says it used.
    """

    bytes_moved: int | None = 0
    joules: float | None = 0.0

    def __add__(self, later: "Measured") -> "Measured":
        """Both together; what one does not know, the sum does not."""
        return Measured(plus(self.bytes_moved, later.bytes_moved), plus(self.joules, later.joules))


UNKNOWN = Measured(None, None)
"""What is known of a run that did not measure."""


def plus(first: Number | None, second: Number | None) -> Number | None:
    """The sum, None if either is unknown."""
    return None if first is None or second is None else first + second


@dataclass(frozen=True)
class Costs:
    """What a run has cost up to a moment, in all; None is unknown.

    ``tokens`` are what its task counts in training batches. ``flops`` are those of training, ``evaluation_flops`` those of
    measuring individuals, ``credit_flops`` those of measuring operators; operators themselves, which take a few for every
    gene, are left out. ``seconds`` are those of its generations, without checkpoints and without measuring operators.
    ``peak_memory_bytes`` is since the run was last started.
    """

    tokens: int
    flops: int | None
    evaluation_flops: int | None
    credit_flops: int | None
    seconds: float
    bytes_moved: int | None
    peak_memory_bytes: int
    joules: float | None
