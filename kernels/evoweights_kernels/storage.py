"""How a float32 result becomes the bytes of its tensor."""

import torch
from torch import Tensor


def round_to_bfloat16(value: Tensor, rounding: Tensor | None) -> Tensor:
    """float32 rounded to bfloat16: to nearest even, or stochastically by one 16-bit integer per gene (int64).

    Infinities survive, finite values near the maximum may become infinite, every NaN becomes 0x7fc0.
    """
    pattern = value.contiguous().view(torch.int32).long() & 0xFFFFFFFF
    carry = 0x7FFF + ((pattern >> 16) & 1) if rounding is None else rounding
    rounded = ((pattern + carry) & 0xFFFFFFFF) >> 16
    rounded = torch.where((pattern & 0x7FFFFFFF) > 0x7F800000, 0x7FC0, rounded)
    return rounded.to(torch.uint16).view(torch.bfloat16)
