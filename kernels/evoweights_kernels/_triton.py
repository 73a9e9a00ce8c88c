"""The Triton target: GPUs, and any machine in Triton's interpreter (TRITON_INTERPRET=1, for tests)."""

import os
import sys
from contextlib import nullcontext
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evoweights_kernels.availability import Availability
from evoweights_kernels.cache import load_module
from evoweights_kernels.constants import MASK32
from evoweights_kernels.fuse import Fused
from evoweights_kernels.plan import Plan
from evoweights_kernels.scalars import float32_bits
from evoweights_kernels.triton_source import source, tiles_per_program

WARPS = 4
MOST_INTERPRETED_TILES = 256
"""The interpreter costs about a millisecond a program whatever its size, so programs are large there."""


@cache
def is_installed() -> bool:
    """Whether Triton can be imported."""
    return find_spec("triton") is not None


def is_interpreted() -> bool:
    """Whether kernels run in Triton's interpreter: set by TRITON_INTERPRET, or by triton.knobs once imported."""
    if "triton" in sys.modules:
        return bool(sys.modules["triton"].knobs.runtime.interpret)
    return os.environ.get("TRITON_INTERPRET", "").lower() in ("1", "true", "yes", "on", "y")


def availability() -> Availability:
    """Whether Triton is installed and has something to run on."""
    if not is_installed():
        return Availability(False, "Triton is not installed; install it with `pip install triton`")
    if is_interpreted() or torch.cuda.is_available():
        return Availability(True, "")
    return Availability(False, "torch finds no CUDA device, and TRITON_INTERPRET=1 is not set")


def run(plan: Plan) -> None:
    """Apply the plan's program in place."""
    interpreted = is_interpreted()
    kernel = compiled(plan.fused, interpreted)
    tiles = min(MOST_INTERPRETED_TILES, power_of_two(plan.tiles)) if interpreted else tiles_per_program(plan.fused)
    arguments = (
        *(storage(tensor) for tensor in plan.tensors),
        *plan.tables,
        plan.live if plan.live is not None else plan.tensors[0],
        *integers(plan),
    )
    device = plan.tensors[0].device
    with (
        torch.cuda.device(device) if device.type == "cuda" else nullcontext(),
        np.errstate(all="ignore") if interpreted else nullcontext(),
    ):
        kernel[(-(-plan.tiles // tiles),)](
            *arguments,
            TILES=tiles,
            HAS_LIVE=plan.live is not None,
            num_warps=WARPS,
            enable_fp_fusion=False,
        )


@cache
def compiled(fused: Fused, interpreted: bool) -> Any:
    """The Triton function of a fused program; interpreted and compiled ones are different objects."""
    import triton

    assert interpreted == is_interpreted(), "the interpreter was switched between planning and launching"
    return load_module(source(fused), target="triton", versions=(triton.__version__,)).kernel


def integers(plan: Plan) -> list[int]:
    """The values of `triton_source.integer_arguments`, in order."""
    values = [signed(float32_bits(scalar)) for scalar in plan.scalars] + list(plan.thresholds)
    for number in (*plan.streams, plan.seed):
        values += [signed(number & MASK32), signed(number >> 32)]
    return [*values, plan.first_tile, plan.genes]


def signed(word: int) -> int:
    """The int32 of the same 32 bits: Triton gives a value of this range the type i32, always."""
    return word - (1 << 32) if word >= 1 << 31 else word


def power_of_two(number: int) -> int:
    """The smallest power of two that is no smaller."""
    return 1 << (number - 1).bit_length()


def storage(tensor: Tensor) -> Tensor:
    """bfloat16 travels as 16-bit integers: rounding is done on bits, and the interpreter knows no bfloat16."""
    plain = tensor.detach()
    return plain.view(torch.int16) if plain.dtype == torch.bfloat16 else plain
