"""The CPU target: Numba code that makes all members' noise of a tile before the next, in vectorised loops of their own."""

from functools import cache
from types import ModuleType

import numpy as np
import torch

from evoweights_kernels import cpu_module, cpu_noise
from evoweights_kernels.constants import TILE
from evoweights_kernels.weighted_noise.request import Request, Shape, shape_of
from evoweights_kernels.weighted_noise.sources import DRAWN, MASK, MEMBER, ROUNDING, drawn_once, member_of


def run(request: Request) -> None:
    """Add the noise in place; the tensors lie on the CPU."""
    module = compiled(shape_of(request))
    unread = request.x if request.base is None else request.base
    live = request.live if request.live is not None else torch.full((request.tiles,), TILE, dtype=torch.int32)
    scale = request.scale if request.scale is not None else torch.empty(0)
    mask, threshold = request.mask or (0, 0)
    arguments = (
        *(cpu_module.array(request.x), cpu_module.array(unread), scale.detach().numpy(), live.numpy()),
        np.array([mask, request.rounding or 0], np.uint64),
        np.int32(threshold),
        *(np.array(request.streams, np.uint64), np.array(request.weights, np.float32)),
        *(np.uint64(request.seed), request.first_tile),
    )
    cpu_module.launch(module, arguments, request.tiles)


@cache
def compiled(shape: Shape) -> ModuleType:
    """The machine code for launches of a shape: from the cache folder, or compiled now and kept there."""
    return cpu_module.load(source(shape))


def source(shape: Shape) -> str:
    """A Numba module like that of a gene kernel."""
    kinds = {"float32": "float32[::1]", "bfloat16": "uint16[::1]"}
    arguments = [("x", kinds[shape.storage]), ("base", kinds[shape.base or shape.storage]), ("scale", "float32[::1]")]
    arguments += [("live", "int32[::1]"), ("others", "uint64[::1]"), ("threshold", "int32"), ("streams", "uint64[::1]")]
    arguments += [("weights", "float32[::1]"), ("seed", "uint64"), ("first_tile", "int64")]
    return cpu_module.text(arguments, _body(shape))


def _body(shape: Shape) -> list[str]:
    lines = [
        *cpu_noise.round_keys(),
        *cpu_noise.scratch(MEMBER, member_of(shape)),
        f"total = np.empty({TILE}, np.float32)",
    ]
    for number in drawn_once(shape):
        lines += [*cpu_noise.stream_keys(number, f"others[{number - 1}]"), *cpu_noise.scratch(number, DRAWN)]
    lines.append("for tile in range(start, stop):")
    return [*lines, *("    " + line for line in _tile(shape))]


def _tile(shape: Shape) -> list[str]:
    lines = [
        f"first = tile * {TILE}",
        "count = int32(min(live[tile], x.size - first))",
        "if count <= 0:",
        "    continue",
        "tile_number = uint64(first_tile + tile)",
        "total[:] = float32(0.0)",
        "for j in range(streams.size):",
    ]
    each = [
        *cpu_noise.stream_keys(MEMBER, "streams[j]"),
        *cpu_noise.fill(MEMBER, member_of(shape)),
        "weight = weights[j]",
        f"for r in range({TILE}):",
        f"    total[r] = total[r] + normal{MEMBER}[r] * weight",
    ]
    lines += ["    " + line for line in each]
    for number in drawn_once(shape):
        lines += cpu_noise.fill(number, DRAWN)
    lines.append("factor = scale[tile] if scale.size else float32(1.0)")
    lines += ["sx = x[first : first + count]"]
    lines += [] if shape.base is None else ["sb = base[first : first + count]"]
    lines += ["for r in range(count):", *("    " + line for line in _gene(shape))]
    return lines


def _gene(shape: Shape) -> list[str]:
    lines = ["change = total[r] * factor"]
    if shape.has_mask:
        lines.append(f"change = select(int32(bits{MASK}[r]) < threshold, change, float32(0.0))")
    element = "sx[r]" if shape.base is None else "sb[r]"
    is_narrow = (shape.base or shape.storage) == "bfloat16"
    lines.append(f"old = number_of(uint32(uint32({element}) << uint32(16)))" if is_narrow else f"old = {element}")
    lines.append("value = select(change == float32(0.0), old, old + change)")
    if shape.storage == "float32":
        return [*lines, "sx[r] = value"]
    carry = "uint32(uint32(0x7fff) + uint32(uint32(pattern >> uint32(16)) & uint32(1)))"
    if shape.is_stochastic:
        carry = f"uint32(bits{ROUNDING}[r])"
    return [
        *lines,
        "pattern = bits_of(value)",
        f"rounded = number_of(uint32(uint32(pattern + {carry}) & uint32(0xffff0000)))",
        "rounded = select(value != value, number_of(uint32(0x7fc00000)), rounded)",
        "sx[r] = uint16(bits_of(rounded) >> uint32(16))",
    ]
