"""The CUDA C++ target: a thread keeps the sums of its genes in registers while it goes through the members."""

import ctypes
import struct
from functools import cache
from typing import Any

from torch import Tensor

from evoweights_kernels import _cuda, cuda_noise, cuda_prelude
from evoweights_kernels.constants import ROUNDS, TILE, lanes_per_tile
from evoweights_kernels.cuda_noise import block, unrolled
from evoweights_kernels.cuda_source import BLOCKS, THREADS
from evoweights_kernels.fuse import BFLOAT16, FLOAT32
from evoweights_kernels.weighted_noise.members import members_of
from evoweights_kernels.weighted_noise.request import Request, Shape, shape_of
from evoweights_kernels.weighted_noise.sources import DRAWN, MASK, MEMBER, ROUNDING, drawn_once, member_of

_ELEMENT = {FLOAT32: "float", BFLOAT16: "BFloat16"}
_VECTOR = {FLOAT32: "Floats", BFLOAT16: "BFloat16s"}
_EACH_LANE = "for (int j = 0; j < LANES; ++j)"
_EACH_MEMBER = "for (int m = 0; m < n.members; ++m)"
_READ_MEMBER = ["const Wide stream0 = members[m].stream;", "const float weight = members[m].weight;"]


def run(request: Request) -> None:
    """Add the noise in place; nothing is waited for.

    Raises:
        KernelError: the kernel cannot be compiled for this device, loaded or launched.
    """
    device, shape = request.x.device, shape_of(request)
    assert device.type == "cuda" and device.index is not None, device
    function = _function(shape, device.index)
    members = members_of(request)
    values, addresses = parameters(request, members)
    _cuda.launch(function, -(-request.tiles * threads_per_tile(shape) // THREADS), addresses, device)
    del values  # the driver has copied them; until then the addresses point into them


def parameters(request: Request, members: Tensor) -> tuple[ctypes.Array, ctypes.Array]:
    """The kernel's arguments as they lie in memory, and the address of each."""
    pointers = [each.data_ptr() for each in (request.x, request.base) if each is not None]
    pointers += [0 if each is None else each.data_ptr() for each in (request.scale, request.live)]
    mask, threshold = request.mask or (0, 0)
    numbers = struct.pack("<2Q2q", mask, request.rounding or 0, request.first_tile, request.genes)
    numbers += struct.pack(f"<{2 * ROUNDS}I2i", *_cuda.round_keys(request.seed), threshold, len(members))
    return _cuda.packed([*pointers, members.data_ptr()], numbers)


@cache
def _function(shape: Shape, index: int) -> Any:
    return _cuda.load(source(shape), index)


def lanes_per_thread(shape: Shape) -> int:
    """Lanes of a thread: as many genes as 128 bits of the narrowest storage hold."""
    return 8 if BFLOAT16 in (shape.storage, shape.base) else 4


def threads_per_tile(shape: Shape) -> int:
    """Threads that share a tile."""
    return lanes_per_tile(shape.bits) // lanes_per_thread(shape)


def source(shape: Shape) -> str:
    """A translation unit whose `kernel` adds the noise to a tile per `threads_per_tile` threads."""
    parts = [
        cuda_prelude.HEADER.format(lanes=lanes_per_thread(shape)) + cuda_noise.HELPERS,
        "\n".join(_structs()),
        "\n".join(_gene(shape)),
        "\n".join(_function_of("whole", shape, _whole(shape), "int lane")),
        "\n".join(_function_of("some", shape, _some(shape), "Word start, Word count")),
        "\n".join(_kernel(shape)),
    ]
    return "\n\n".join(parts) + "\n"


def _structs() -> list[str]:
    fields = ["Wide stream1;", "Wide stream2;", "long long first_tile;", "long long genes;"]
    fields += [f"Word keys[{2 * ROUNDS}];", "int threshold;", "int members;"]
    member = ["Wide stream;", "float weight;", "Word unread;"]
    return [*block(["struct Numbers"], fields)[:-1], "};", *block(["struct Member"], member)[:-1], "};"]


def _gene(shape: Shape) -> list[str]:
    """The function of one gene: its sum and what else it reads in, the value that is written out."""
    arguments = ["const Numbers& n", "float factor", "float total", *(f"Word bits{i}" for i in drawn_once(shape))]
    change = "mul(total, factor)"
    if shape.has_mask:
        change = f"(int)bits{MASK} < n.threshold ? {change} : 0.0f"
    body = [f"const float change = {change};", "const float value = change == 0.0f ? old : add(old, change);"]
    rounded = f"rounded(value, bits{ROUNDING})" if shape.is_stochastic else "nearest(value)"
    body.append(f"return {rounded if shape.storage == BFLOAT16 else 'value'};")
    return block(["// One gene.", f"INLINE float gene({', '.join([*arguments, 'float old'])})"], body)


def _call(shape: Shape, total: str, bits: list[str], old: str) -> str:
    return f"gene({', '.join(['n', 'factor', total, *bits, old])})"


def _tensors(shape: Shape) -> list[str]:
    base = [] if shape.base is None else [f"const {_ELEMENT[shape.base]}* __restrict__ base"]
    return [f"{_ELEMENT[shape.storage]}* __restrict__ x", *base]


def _function_of(name: str, shape: Shape, body: list[str], own: str) -> list[str]:
    arguments = [*_tensors(shape), "const Member* __restrict__ members", "const Numbers& n", "float factor"]
    return block([f"INLINE void {name}({', '.join([*arguments, 'Wide first', 'Wide tile', own])})"], body)


def _whole(shape: Shape) -> list[str]:
    """Statements for a whole tile: the sums of all members, then plane by plane in 128-bit vectors.

    Member noise of 32 bits has 256 lanes, that of 16 bits 128, as has the noise of mask and rounding: beside wide members
    the two threads of a lane draw it each, which costs less than carrying it through the members.
    """
    width, member = lanes_per_tile(shape.bits), member_of(shape)
    planes = TILE // width
    each_plane = f"for (int p = 0; p < {planes}; ++p)"
    add = unrolled(each_plane, [f"total[j][p] = add(total[j][p], mul(z{MEMBER}[j][p], weight));"])
    drawn = cuda_noise.draw(MEMBER, member, "stream0") + add
    sums = _READ_MEMBER + cuda_noise.declare(MEMBER, member) + unrolled(_EACH_LANE, drawn)
    body = [f"float total[LANES][{planes}];", *unrolled(_EACH_LANE, unrolled(each_plane, ["total[j][p] = 0.0f;"]))]
    body += _rolled(_EACH_MEMBER, sums)
    for number in drawn_once(shape):
        body += cuda_noise.declare(number, DRAWN)
        body += unrolled(_EACH_LANE, cuda_noise.draw(number, DRAWN, f"n.stream{number}"))
    if shape.bits == 32:
        lanes = ["const int offset = lane, lane16 = lane & 127;"]
        field = ["const int w = p, upper = lane >> 7;"]
    else:
        lanes, field = ["const int lane16 = lane;"], ["const int w = p / 2, upper = p % 2;"]
    return lanes + body + unrolled(each_plane, field + _plane(shape, width))


def _plane(shape: Shape, width: int) -> list[str]:
    bits = [cuda_noise.bits_in_quarter(number, DRAWN) for number in drawn_once(shape)]
    read = "x" if shape.base is None else "base"
    position = f"first + {width} * p + lane"
    return [
        f"{_VECTOR[shape.base or shape.storage]} old;",
        f"{_VECTOR[shape.storage]} made;",
        f"load({read} + ({position}), old);",
        *unrolled(_EACH_LANE, [f"set(made, j, {_call(shape, 'total[j][p]', bits, 'get(old, j)')});"]),
        f"store(x + ({position}), made);",
    ]


def _some(shape: Shape) -> list[str]:
    """Statements for the genes of a tile one by one: small code, seldom run."""
    member = member_of(shape)
    add = f"total = add(total, mul(normal{MEMBER}, weight));"
    body = ["const Wide i = first + r;", "float total = 0.0f;"]
    body += _rolled(_EACH_MEMBER, [*_READ_MEMBER, *cuda_noise.draw_alone(MEMBER, member, "stream0"), add])
    for number in drawn_once(shape):
        body += cuda_noise.draw_alone(number, DRAWN, f"n.stream{number}")
    old = f"value_of({'x' if shape.base is None else 'base'}[i])"
    bits = [f"bits{number}" for number in drawn_once(shape)]
    body.append(f"assign(x[i], {_call(shape, 'total', bits, old)});")
    return _rolled(f"for (Word r = start; r < count; r += {threads_per_tile(shape)}u)", body)


def _rolled(loop: str, body: list[str]) -> list[str]:
    return block(["#pragma unroll 1", loop], body)


def _kernel(shape: Shape) -> list[str]:
    """Every index has 64 bits: a tensor may have more than 2^31 genes."""
    per_tile = threads_per_tile(shape)
    tables = ["const float* __restrict__ scale", "const int* __restrict__ live"]
    arguments = [*_tensors(shape), *tables, "const Member* __restrict__ members"]
    tensors = ["x"] if shape.base is None else ["x", "base"]
    shared = ", ".join([*tensors, "members", "n", "factor", "first", "tile"])
    addresses = " | ".join(f"(Wide){each}" for each in tensors)
    body = [
        f"const Wide thread = (Wide)blockIdx.x * {THREADS}u + threadIdx.x;",
        f"const Wide row = thread / {per_tile}u, first = row * {TILE}u, genes = (Wide)n.genes;",
        f"const Word share = (Word)thread % {per_tile}u;",
        "if (first >= genes) return;",
        f"int count = genes - first < {TILE}u ? (int)(genes - first) : {TILE};",
        "if (live != nullptr && live[row] < count) count = live[row];",
        "if (count <= 0) return;",
        "const Wide tile = (Wide)n.first_tile + row;",
        "const float factor = scale != nullptr ? scale[row] : 1.0f;",
        f"if (count == {TILE} && (({addresses}) & 15u) == 0u) whole({shared}, (int)share * LANES);",
        f"else some({shared}, share, (Word)count);",
    ]
    head = f'extern "C" __global__ void __launch_bounds__({THREADS}, {BLOCKS})'
    return block([f"{head} kernel({', '.join([*arguments, 'const __grid_constant__ Numbers n'])})"], body)
