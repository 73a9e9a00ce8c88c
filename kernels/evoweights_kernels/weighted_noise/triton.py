"""The Triton target: a program keeps the sums of its tiles in registers while it goes through the members."""

from contextlib import nullcontext
from functools import cache
from typing import Any

import numpy as np
import torch

from evoweights_kernels import _triton, triton_module, triton_noise
from evoweights_kernels._triton import MOST_INTERPRETED_TILES, WARPS, power_of_two, signed, storage
from evoweights_kernels.cache import load_module
from evoweights_kernels.constants import MASK32, TILE, lanes_per_tile
from evoweights_kernels.weighted_noise.members import WORDS, members_of
from evoweights_kernels.weighted_noise.request import Request, Shape, shape_of
from evoweights_kernels.weighted_noise.sources import DRAWN, MASK, MEMBER, ROUNDING, drawn_once, member_of

TENSORS = ["x", "base", "scale", "live", "table"]
INTEGERS = [f"stream_{half}{number}" for number in (MASK, ROUNDING) for half in ("low", "high")]
INTEGERS += ["members", "threshold", "seed_low", "seed_high", "first_tile", "genes"]
"""What the kernel takes, in order; 64-bit integers travel as 32-bit patterns."""


def run(request: Request) -> None:
    """Add the noise in place."""
    is_interpreted, shape = _triton.is_interpreted(), shape_of(request)
    kernel = compiled(shape, is_interpreted)
    tiles = min(MOST_INTERPRETED_TILES, power_of_two(request.tiles)) if is_interpreted else tiles_per_program(shape)
    device = request.x.device
    unread = request.x
    tensors = (
        storage(request.x),
        storage(request.x if request.base is None else request.base),
        unread if request.scale is None else request.scale.detach(),
        unread if request.live is None else request.live,
        members_of(request),
    )
    with (
        torch.cuda.device(device) if device.type == "cuda" else nullcontext(),
        np.errstate(all="ignore") if is_interpreted else nullcontext(),
    ):
        kernel[(-(-request.tiles // tiles),)](
            *tensors,
            *_integers(request),
            TILES=tiles,
            HAS_LIVE=request.live is not None,
            HAS_SCALE=request.scale is not None,
            num_warps=WARPS,
            enable_fp_fusion=False,
        )


def tiles_per_program(shape: Shape) -> int:
    """So many that a plane of them is 512 genes: four a thread, which leaves room for the sums of all planes."""
    return TILE // lanes_per_tile(shape.bits) // 2


def _integers(request: Request) -> list[int]:
    mask, threshold = request.mask or (0, 0)
    values = []
    for number in (mask, request.rounding or 0):
        values += [signed(number & MASK32), signed(number >> 32)]
    values += [len(request.streams), threshold, signed(request.seed & MASK32), signed(request.seed >> 32)]
    return [*values, request.first_tile, request.genes]


@cache
def compiled(shape: Shape, interpreted: bool) -> Any:
    """The Triton function for launches of a shape; interpreted and compiled ones are different objects."""
    import triton

    assert interpreted == _triton.is_interpreted(), "the interpreter was switched between planning and launching"
    return load_module(source(shape), target="triton", versions=(triton.__version__,)).kernel


def source(shape: Shape) -> str:
    """A Triton module whose `kernel` adds the noise to TILES tiles a program."""
    body = ["seed_a = word_of(seed_low)", "seed_b = word_of(seed_high)", *_sum(shape), *_apply(shape)]
    return triton_module.text(_plane(shape), TENSORS, INTEGERS, body, ["HAS_SCALE"])


def _sum(shape: Shape) -> list[str]:
    """Statements that make the sum of every plane of every tile."""
    width = lanes_per_tile(shape.bits)
    planes = range(TILE // width)
    lines = [f"total{plane} = tl.zeros((TILES, {width}), tl.float32)" for plane in planes]
    each = [
        f"stream_low{MEMBER} = tl.load(table + {WORDS} * j)",
        f"stream_high{MEMBER} = tl.load(table + {WORDS} * j + 1)",
        f"weight = number_of(word_of(tl.load(table + {WORDS} * j + 2)))",
        *triton_noise.draw(MEMBER, member_of(shape)),
        *(f"total{plane} = total{plane} + n{MEMBER}_z{plane} * weight" for plane in planes),
    ]
    return [*lines, "for j in range(members):", *("    " + line for line in each)]


def _apply(shape: Shape) -> list[str]:
    width = lanes_per_tile(shape.bits)
    used = drawn_once(shape)
    lines = [line for number in used for line in triton_noise.draw(number, DRAWN)]
    lines += [
        "factor = tl.full((TILES, 1), 1.0, tl.float32)",
        "if HAS_SCALE:",
        "    factor = tl.load(scale + row, mask=count > 0, other=0.0)",
    ]
    for is_full, condition in ((True, f"if tl.min(count) == {TILE}:"), (False, "else:")):
        lines.append(condition)
        for plane in range(TILE // width):
            values = [f"total{plane} * factor"]
            values += [triton_noise.bits_of_plane(number, DRAWN, plane, shape.bits) for number in used]
            arguments = ", ".join(["x, base, threshold, row, count", *values])
            lines.append(f"    apply_plane({arguments}, {plane * width}, {width}, {is_full})")
    return lines


def _plane(shape: Shape) -> list[str]:
    names = ["x, base, threshold, row, count", "change"]
    names += [f"noise{MASK}"] * shape.has_mask + [f"noise{ROUNDING}"] * shape.is_stochastic
    arguments = ", ".join([*names, "FIRST: tl.constexpr, WIDTH: tl.constexpr, FULL: tl.constexpr"])
    source = "x" if shape.base is None else "base"
    body = ["r = FIRST + tl.arange(0, WIDTH)[None, :]", f"i = row * {TILE} + r", "takes_part = r < count"]
    if shape.has_mask:
        body.append(f"change = tl.where(noise{MASK}.to(tl.int32) < threshold, change, 0.0)")
    if (shape.base or shape.storage) == "bfloat16":
        body.append(
            f"old = number_of(load({source} + i, takes_part, FULL).to(tl.uint16, bitcast=True).to(tl.uint32) << 16)"
        )
    else:
        body.append(f"old = load({source} + i, takes_part, FULL)")
    body.append("value = tl.where(change == 0.0, old, old + change)")
    if shape.storage == "bfloat16":
        carry = f"noise{ROUNDING}" if shape.is_stochastic else "(0x7fff + ((pattern >> 16) & 1))"
        body += [
            "pattern = bits_of(value)",
            f"value = tl.where(value != value, constant(0x7fc00000), number_of((pattern + {carry}) & 0xffff0000))",
            "value = (bits_of(value) >> 16).to(tl.uint16).to(tl.int16, bitcast=True)",
        ]
    body.append("store(x + i, value, takes_part, FULL)")
    return ["@triton.jit", f"def apply_plane({arguments}):", *("    " + line for line in body)]
