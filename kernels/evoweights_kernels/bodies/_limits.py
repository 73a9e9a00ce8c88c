"""Keeping finite numbers finite inside bodies."""

from typing import Any

from evoweights_kernels.functions import maximum, minimum

LARGEST = 3.4028234663852886e38
"""The largest finite float32."""


def saturate(value: Any) -> Any:
    """`value`, with an overflow brought back to the largest finite float32 of its sign; NaN stays NaN."""
    return maximum(minimum(value, LARGEST), -LARGEST)
