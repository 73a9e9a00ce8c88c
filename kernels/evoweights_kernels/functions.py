"""The functions a body may use besides operators; they work on traced values, torch tensors and Python numbers."""

import math
from typing import Any

from evoweights_kernels.trace import Value, select, square_root


def where(condition: Any, a: Any, b: Any) -> Any:
    """`a` where the condition holds, else `b`; both are computed, the other one never leaks (not even NaN)."""
    if any(isinstance(operand, Value) for operand in (condition, a, b)):
        return select(condition, a, b)
    if isinstance(condition, bool):
        return a if condition else b
    import torch

    a, b = (v if isinstance(v, torch.Tensor) else torch.tensor(v, dtype=torch.float32) for v in (a, b))
    return torch.where(condition, a, b)


def minimum(a: Any, b: Any) -> Any:
    """`b` if b < a else `a`: a NaN in `a` stays, a NaN in `b` is passed over."""
    return where(b < a, b, a)


def maximum(a: Any, b: Any) -> Any:
    """`b` if b > a else `a`: a NaN in `a` stays, a NaN in `b` is passed over."""
    return where(b > a, b, a)


def absolute(a: Any) -> Any:
    """The magnitude: the sign bit cleared."""
    return abs(a)


def sqrt(a: Any) -> Any:
    """The correctly rounded square root."""
    if isinstance(a, Value):
        return square_root(a)
    if isinstance(a, (int, float)):
        return math.sqrt(a)
    from evoweights_kernels import ieee

    return ieee.sqrt(a).as_subclass(type(a))
