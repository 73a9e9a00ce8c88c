"""Text of the CPU kernel: plain loops that LLVM vectorises, one per subject, for one worker and a range of tiles."""

from evoweights_kernels import cpu_module, cpu_noise
from evoweights_kernels.constants import TILE
from evoweights_kernels.fuse import BFLOAT16, Fused
from evoweights_kernels.scalars import float32_bits
from evoweights_kernels.trace import Op

_ARRAY = {BFLOAT16: "uint16[::1]", "float32": "float32[::1]"}
_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "and": "&", "or": "|"}
_INFIX |= {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}

_NEAREST = "uint32({bits} + (uint32(0x7fff) + uint32(uint32({bits} >> uint32(16)) & uint32(1))))"
_STOCHASTIC = "uint32({bits} + uint32(bits{noise}[r]))"


def source(fused: Fused) -> str:
    """A Numba module that applies the fused program."""
    arguments = [(f"t{slot}", _ARRAY[dtype]) for slot, dtype in enumerate(fused.slots)]
    arguments += [(f"table{table}", "float32[::1]") for table in range(fused.tables)]
    arguments += [("live", "int32[::1]"), ("scalars", "float32[::1]"), ("thresholds", "int32[::1]")]
    arguments += [("streams", "uint64[::1]"), ("seed", "uint64"), ("first_tile", "int64")]
    return cpu_module.text(arguments, _body(fused))


def _body(fused: Fused) -> list[str]:
    lines = [f"scalar{i} = scalars[{i}]" for i in range(fused.scalars)]
    lines += [f"threshold{i} = thresholds[{i}]" for i in range(fused.thresholds)]
    if fused.noises:
        lines += cpu_noise.round_keys()
    for number, noise in enumerate(fused.noises):
        lines += cpu_noise.stream_keys(number, f"streams[{number}]") + cpu_noise.scratch(number, noise)
    lines.append("for tile in range(start, stop):")
    lines += ("    " + line for line in _tile(fused))
    return lines


def _tile(fused: Fused) -> list[str]:
    lines = [
        f"first = tile * {TILE}",
        "count = int32(min(live[tile], t0.size - first))",
        "if count <= 0:",
        "    continue",
        "tile_number = uint64(first_tile + tile)",
    ]
    for number, noise in enumerate(fused.noises):
        lines += cpu_noise.fill(number, noise)
    lines += [f"value{i} = table{i}[tile]" for i in range(fused.tables)]
    # Slices: an index counted up from 0 needs no check for negative indices, which would hinder vectorising.
    lines += [f"s{slot} = t{slot}[first : first + count]" for slot in range(len(fused.slots))]
    lines.append("for r in range(count):")
    lines += ("    " + line for line in _gene(fused))
    return lines


def _gene(fused: Fused) -> list[str]:
    lines = []
    for number, op in enumerate(fused.ops):
        if op.code in ("nearest", "stochastic"):
            lines += _round(number, op)
        else:
            lines.append(f"v{number} = {_expression(op, fused)}")
    for slot, number in fused.stores:
        is_narrow = fused.slots[slot] == BFLOAT16
        lines.append(f"s{slot}[r] = " + (f"uint16(bits_of(v{number}) >> uint32(16))" if is_narrow else f"v{number}"))
    return lines


def _round(number: int, op: Op) -> list[str]:
    value, bits = f"v{op.operands[0]}", f"b{number}"
    carried = (_NEAREST if op.code == "nearest" else _STOCHASTIC).format(bits=bits, noise=op.noise)
    return [
        f"{bits} = bits_of({value})",
        f"n{number} = number_of(uint32({carried} & uint32(0xffff0000)))",
        f"v{number} = select({value} != {value}, number_of(uint32(0x7fc00000)), n{number})",
    ]


def _expression(op: Op, fused: Fused) -> str:
    names = [f"v{operand}" for operand in op.operands]
    if op.code in _INFIX:
        return f"{names[0]} {_INFIX[op.code]} {names[1]}"
    if op.code == "load":
        element = f"s{op.index}[r]"
        return f"number_of(uint32(uint32({element}) << uint32(16)))" if fused.slots[op.index] == BFLOAT16 else element
    if op.code in ("uniform", "chance"):
        return _noise(op, fused.noises[op.noise].bits)
    return {
        "constant": f"number_of(uint32({float32_bits(op.value):#x}))  # {op.value!r}",
        "scalar": f"scalar{op.index}",
        "table": f"value{op.index}",
        "normal": f"normal{op.noise}[r]",
        "neg": "number_of(uint32(bits_of({0}) ^ uint32(0x80000000)))",
        "abs": "number_of(uint32(bits_of({0}) & uint32(0x7fffffff)))",
        "sqrt": "math.sqrt({0})",
        "not": "not {0}",
        "where": "select({0}, {1}, {2})",
    }[op.code].format(*names)


def _noise(op: Op, bits: int) -> str:
    """Signed integers: AVX2 compares and converts no unsigned ones."""
    drawn = f"bits{op.noise}[r] >> uint32(8)" if bits == 32 else f"bits{op.noise}[r]"
    if op.code == "chance":
        return f"int32({drawn}) < threshold{op.index}"
    return f"float32(int32({drawn})) * float32(2.0**-{24 if bits == 32 else bits})"
