"""Which numbers a step can be done with: weights and noise are float32, and what a log says may have been changed."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evoweights.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

LARGEST = 3.0e38
"""What float32 holds, about; a larger loss counts as infinite."""
SMALLEST_SIGMA = 1.0e-12
"""Below it sigma neither is set nor decays: slopes are divided by it."""


def within_range(losses: "Tensor") -> "Tensor":
    """The losses, NaN where they are so large that their squares would be infinite."""
    import torch

    return torch.where(losses.abs() <= LARGEST, losses, torch.nan)


def can_be_taken(coefficients: Sequence[float], rate: float) -> bool:
    """Whether float32 holds a step's coefficients, with and without the rate."""
    return all(abs(each) <= LARGEST and abs(rate * each) <= LARGEST for each in coefficients)


def logged_weights(report: Mapping[str, Any], count: int) -> list[float]:
    """The weights of a step's members from its report.

    Raises:
        CheckpointError: they are not ``count`` numbers.
    """
    weights = report.get("weights")
    if isinstance(weights, list) and len(weights) == count and all(map(_is_number, weights)):
        return weights
    raise changed_log(f"no weights of {count} members")


def changed_log(found: str) -> CheckpointError:
    """The error that says what a log has instead of a step."""
    return CheckpointError(
        f"The log has {found} for a step of es: it or config.yaml was changed, so the run cannot be replayed."
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
