"""Text of the Triton kernel: several tiles a program, plane by plane, so that no element changes its thread."""

from evoweights_kernels import triton_module, triton_noise
from evoweights_kernels.constants import TILE
from evoweights_kernels.fuse import BFLOAT16, Fused
from evoweights_kernels.scalars import float32_bits
from evoweights_kernels.trace import Op

_INFIX = {"add": "+", "sub": "-", "mul": "*", "and": "&", "or": "|"}
_INFIX |= {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}

_NEAREST = "{bits} + (0x7fff + (({bits} >> 16) & 1))"
_STOCHASTIC = "{bits} + noise{noise}"


def integer_arguments(fused: Fused) -> list[str]:
    """Names of the integers the kernel takes, in order; float32 and 64-bit ones travel as 32-bit patterns."""
    names = [f"scalar{i}" for i in range(fused.scalars)] + [f"threshold{i}" for i in range(fused.thresholds)]
    for number in range(len(fused.noises)):
        names += [f"stream_low{number}", f"stream_high{number}"]
    return [*names, "seed_low", "seed_high", "first_tile", "genes"]


def tiles_per_program(fused: Fused) -> int:
    """So many that a plane of them is 1,024 genes: eight a thread, read and written 128 bits at a time."""
    width, _ = _planes(fused)
    return TILE // width


def source(fused: Fused) -> str:
    """A Triton module whose `kernel` applies the fused program to TILES tiles a program."""
    tensors = [*(f"t{slot}" for slot in range(len(fused.slots))), *(f"table{i}" for i in range(fused.tables)), "live"]
    return triton_module.text(_plane(fused), tensors, integer_arguments(fused), _live_tiles(fused))


def _live_tiles(fused: Fused) -> list[str]:
    lines = ["seed_a = word_of(seed_low)", "seed_b = word_of(seed_high)"] if fused.noises else []
    lines += [f"value{i} = tl.load(table{i} + row, mask=count > 0, other=0.0)" for i in range(fused.tables)]
    for number, noise in enumerate(fused.noises):
        lines += triton_noise.draw(number, noise)
    width, planes = _planes(fused)
    for is_full, condition in ((True, f"if tl.min(count) == {TILE}:"), (False, "else:")):
        lines.append(condition)
        for plane in range(planes):
            values = ", ".join([*_shared_names(fused), *_noise_of_plane(fused, plane)])
            lines.append(f"    apply_plane({values}, {plane * width}, {width}, {is_full})")
    return lines


def _planes(fused: Fused) -> tuple[int, int]:
    """Genes per plane and planes per tile: as many genes as the widest noise has lanes."""
    width = 8 * max((noise.bits for noise in fused.noises), default=32)
    return width, TILE // width


def _shared_names(fused: Fused) -> list[str]:
    """Names `kernel` and `apply_plane` share, in the order they are passed."""
    names = [f"t{slot}" for slot in range(len(fused.slots))] + [f"value{i}" for i in range(fused.tables)]
    names += [f"scalar{i}" for i in range(fused.scalars)] + [f"threshold{i}" for i in range(fused.thresholds)]
    return [*names, "row", "count"]


def _noise_of_plane(fused: Fused, plane: int) -> list[str]:
    widest = max((noise.bits for noise in fused.noises), default=32)
    values = []
    for number, noise in enumerate(fused.noises):
        if noise.as_bits:
            values.append(triton_noise.bits_of_plane(number, noise, plane, widest))
        if noise.as_normal:
            values.append(triton_noise.normal_of_plane(number, noise, plane, widest))
    return values


def _plane(fused: Fused) -> list[str]:
    """The function that applies the program to one plane of every tile."""
    noises = []
    for number, noise in enumerate(fused.noises):
        noises += [f"noise{number}"] * noise.as_bits + [f"normal{number}"] * noise.as_normal
    arguments = [
        *_shared_names(fused),
        *noises,
        "FIRST: tl.constexpr",
        "WIDTH: tl.constexpr",
        "FULL: tl.constexpr",
    ]
    body = [
        "r = FIRST + tl.arange(0, WIDTH)[None, :]",
        f"i = row * {TILE} + r",
        "takes_part = r < count",
    ]
    for number, op in enumerate(fused.ops):
        body += _round(number, op) if op.code in ("nearest", "stochastic") else _assign(number, op, fused)
    for slot, number in fused.stores:
        body.append(f"value = tl.broadcast_to(v{number}, i.shape)")
        if fused.slots[slot] == BFLOAT16:
            body.append("value = (bits_of(value) >> 16).to(tl.uint16).to(tl.int16, bitcast=True)")
        body.append(f"store(t{slot} + i, value, takes_part, FULL)")
    return ["@triton.jit", f"def apply_plane({', '.join(arguments)}):", *("    " + line for line in body)]


def _round(number: int, op: Op) -> list[str]:
    value, bits = f"v{op.operands[0]}", f"b{number}"
    carried = (_NEAREST if op.code == "nearest" else _STOCHASTIC).format(bits=bits, noise=op.noise)
    return [
        f"{bits} = bits_of({value})",
        f"v{number} = tl.where({value} != {value}, constant(0x7fc00000), number_of(({carried}) & 0xffff0000))",
    ]


def _assign(number: int, op: Op, fused: Fused) -> list[str]:
    names = [f"v{operand}" for operand in op.operands]
    if op.code in _INFIX:
        return [f"v{number} = {names[0]} {_INFIX[op.code]} {names[1]}"]
    if op.code == "load" and fused.slots[op.index] == BFLOAT16:
        return [
            f"loaded = load(t{op.index} + i, takes_part, FULL).to(tl.uint16, bitcast=True)",
            f"v{number} = number_of(loaded.to(tl.uint32) << 16)",
        ]
    if op.code in ("uniform", "chance"):
        return [f"v{number} = {_noise(op, fused.noises[op.noise].bits)}"]
    expression = {
        "load": f"load(t{op.index} + i, takes_part, FULL)",
        "constant": f"constant({float32_bits(op.value):#x})  # {op.value!r}",
        "scalar": f"tl.broadcast_to(number_of(word_of(scalar{op.index})), (1, 1))",
        "table": f"value{op.index}",
        "normal": f"normal{op.noise}",
        "neg": "number_of(bits_of({0}) ^ 0x80000000)",
        "abs": "number_of(bits_of({0}) & 0x7fffffff)",
        "div": "tl.div_rn({0}, {1})",
        "sqrt": "tl.sqrt_rn({0})",
        "not": "~{0}",
        "where": "tl.where({0}, {1}, {2})",
    }[op.code].format(*names)
    return [f"v{number} = {expression}"]


def _noise(op: Op, bits: int) -> str:
    drawn = f"(noise{op.noise} >> 8).to(tl.int32)" if bits == 32 else f"noise{op.noise}.to(tl.int32)"
    if op.code == "chance":
        return f"{drawn} < threshold{op.index}"
    return f"{drawn}.to(tl.float32) * {2.0 ** -(24 if bits == 32 else bits)!r}"
