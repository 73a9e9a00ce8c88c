"""Text of the CUDA kernel: a thread takes neighbouring lanes of one tile and every gene their words serve.

Nothing is exchanged between threads. `gene` is the fused program for one gene; `whole` applies it to a thread's share of
a tile, 128 bits at a time; `some` does the same gene by gene where a tile is partial or a tensor is not aligned.
"""

from evoweights_kernels import cuda_noise, cuda_prelude
from evoweights_kernels.constants import ROUNDS, TILE
from evoweights_kernels.cuda_noise import block
from evoweights_kernels.cuda_tile import (
    lanes_per_thread,
    noise_parameters,
    some,
    threads_per_tile,
    touched_slots,
    whole,
)
from evoweights_kernels.fuse import BFLOAT16, FLOAT32, Fused
from evoweights_kernels.scalars import float32_bits
from evoweights_kernels.trace import Op

THREADS = 128
"""Threads of a block."""

BLOCKS = 4
"""Blocks that must fit on a multiprocessor at once, which leaves a thread 128 registers."""

_ELEMENT = {FLOAT32: "float", BFLOAT16: "BFloat16"}
_INFIX = {"and": "&&", "or": "||", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
_FUNCTION = {"add": "add", "sub": "sub", "mul": "mul", "div": "divide", "sqrt": "root"}


def source(fused: Fused) -> str:
    """A translation unit whose `kernel` applies the fused program to a tile per `threads_per_tile` threads."""
    parts = [
        cuda_prelude.HEADER.format(lanes=lanes_per_thread(fused)) + cuda_noise.HELPERS,
        "\n".join(_numbers(fused)),
        "\n".join(_gene(fused)),
        "\n".join(_function("whole", fused, whole(fused), ["int lane"])),
        "\n".join(_function("some", fused, some(fused), ["Word start", "Word count"])),
        "\n".join(_kernel(fused)),
    ]
    return "\n\n".join(parts) + "\n"


def _numbers(fused: Fused) -> list[str]:
    """The struct of all numbers, in the order and with the padding of `_cuda.numbers`."""
    fields = [
        *(f"Wide stream{i};" for i in range(len(fused.noises))),
        "long long first_tile;",
        "long long genes;",
        *[f"Word keys[{2 * ROUNDS}];"] * bool(fused.noises),
        *(f"float scalar{i};" for i in range(fused.scalars)),
        *(f"int threshold{i};" for i in range(fused.thresholds)),
    ]
    return [*block(["struct Numbers"], fields)[:-1], "};"]


def _pointers(fused: Fused) -> list[str]:
    """Parameters that point to the tensors, distinct by address: in place is one pointer."""
    written = {slot for slot, _ in fused.stores}
    return [
        f"{'' if slot in written else 'const '}{_ELEMENT[dtype]}* __restrict__ t{slot}"
        for slot, dtype in enumerate(fused.slots)
    ]


def _gene(fused: Fused) -> list[str]:
    """The function of one gene: the values of its tensors and its noise in, what is written out."""
    tables = [f"float value{i}" for i in range(fused.tables)]
    noises = [f"{kind} {name}" for kind, name in noise_parameters(fused)]
    slots = [f"float& x{slot}" for slot in touched_slots(fused)]
    arguments = ", ".join(["const Numbers& n", *tables, *noises, *slots])
    body = [f"const {_type(op)} v{number} = {_expression(op, fused)};" for number, op in enumerate(fused.ops)]
    body += [f"x{slot} = v{number};" for slot, number in fused.stores]
    return ["// One gene.", f"INLINE void gene({arguments})", "{", *("    " + line for line in body), "}"]


def _type(op: Op) -> str:
    return "bool" if op.code in (*_INFIX, "not", "chance") else "float"


def _expression(op: Op, fused: Fused) -> str:
    names = [f"v{operand}" for operand in op.operands]
    if op.code in _INFIX:
        return f"{names[0]} {_INFIX[op.code]} {names[1]}"
    if op.code in _FUNCTION:
        return f"{_FUNCTION[op.code]}({', '.join(names)})"
    if op.code in ("uniform", "chance"):
        return _drawn(op, fused.noises[op.noise].bits)
    return {
        "load": f"x{op.index}",
        "constant": f"number_of({float32_bits(op.value):#x}u) /* {op.value!r} */",
        "scalar": f"n.scalar{op.index}",
        "table": f"value{op.index}",
        "normal": f"normal{op.noise}",
        "neg": "number_of(bits_of({0}) ^ 0x80000000u)",
        "abs": "number_of(bits_of({0}) & 0x7fffffffu)",
        "not": "!{0}",
        "where": "{0} ? {1} : {2}",
        "nearest": "nearest({0})",
        "stochastic": f"rounded({{0}}, bits{op.noise})",
    }[op.code].format(*names)


def _drawn(op: Op, bits: int) -> str:
    drawn = f"(int)(bits{op.noise} >> 8)" if bits == 32 else f"(int)bits{op.noise}"
    if op.code == "chance":
        return f"{drawn} < n.threshold{op.index}"
    return f"mul((float){drawn}, {2.0 ** -(24 if bits == 32 else bits)!r}f)"


def _function(name: str, fused: Fused, body: list[str], own: list[str]) -> list[str]:
    tables = [f"float value{i}" for i in range(fused.tables)]
    shared = [*_pointers(fused), "const Numbers& n", *tables, "Wide first", "Wide tile"]
    return [f"INLINE void {name}({', '.join([*shared, *own])})", "{", *("    " + line for line in body), "}"]


def _kernel(fused: Fused) -> list[str]:
    """Every index has 64 bits: a tensor may have more than 2^31 genes."""
    per_tile = threads_per_tile(fused)
    tables = [f"const float* __restrict__ table{i}" for i in range(fused.tables)]
    arguments = [*_pointers(fused), *tables, "const int* __restrict__ live", "const __grid_constant__ Numbers n"]
    shared = [*(f"t{slot}" for slot in range(len(fused.slots))), "n", *(f"value{i}" for i in range(fused.tables))]
    shared = ", ".join([*shared, "first", "tile"])
    addresses = " | ".join(f"(Wide)t{slot}" for slot in touched_slots(fused))
    body = [
        f"const Wide thread = (Wide)blockIdx.x * {THREADS}u + threadIdx.x;",
        f"const Wide row = thread / {per_tile}u, first = row * {TILE}u, genes = (Wide)n.genes;",
        f"const Word share = (Word)thread % {per_tile}u;",
        "if (first >= genes) return;",
        f"int count = genes - first < {TILE}u ? (int)(genes - first) : {TILE};",
        "if (live != nullptr && live[row] < count) count = live[row];",
        "if (count <= 0) return;",
        "const Wide tile = (Wide)n.first_tile + row;",
        *(f"const float value{i} = table{i}[row];" for i in range(fused.tables)),
        f"if (count == {TILE} && (({addresses}) & 15u) == 0u) whole({shared}, (int)share * LANES);",
        f"else some({shared}, share, (Word)count);",
    ]
    head = f'extern "C" __global__ void __launch_bounds__({THREADS}, {BLOCKS}) kernel({", ".join(arguments)})'
    return [head, "{", *("    " + line for line in body), "}"]
