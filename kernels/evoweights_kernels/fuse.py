"""Fusing calls: one straight-line program over distinct tensors, which the targets print line by line."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import final

from evoweights_kernels.body import ROUNDING, Argument, GeneKernel
from evoweights_kernels.roles import Chance, Gene, Normal, Scalar, State, TileScalar, Uniform
from evoweights_kernels.trace import Op

BFLOAT16 = "bfloat16"
FLOAT32 = "float32"


@final
@dataclass(frozen=True)
class NoiseSource:
    """One stream of words: its width, and whether its bits, the normals made from them, or both are read."""

    bits: int
    as_bits: bool = False
    as_normal: bool = False


@final
@dataclass(frozen=True)
class Step:
    """One kernel of a pipeline, and the slot, table or noise source each argument reads, as (name, number) pairs."""

    kernel: GeneKernel
    slots: tuple[tuple[str, int], ...]
    tables: tuple[tuple[str, int], ...]
    noises: tuple[tuple[str, int], ...]


@final
@dataclass(frozen=True, eq=False)
class Fused:
    """A pipeline as one program; `fuse` gives the same object for the same pipeline.

    `ops` use, besides a body's own operations, `load` (slot), `scalar`, `table`, `uniform`, `normal`, `chance`
    (noise, threshold), `nearest` and `stochastic` (rounding to bfloat16). `slots` are storage types, one per distinct
    tensor; `stores` say which operation's value each written slot receives.
    """

    ops: tuple[Op, ...]
    slots: tuple[str, ...]
    tables: int
    scalars: int
    thresholds: int
    noises: tuple[NoiseSource, ...]
    stores: tuple[tuple[int, int], ...]


class _Fuser:
    def __init__(self, slots: tuple[str, ...]) -> None:
        self.slots = slots
        self.ops: list[Op] = []
        self.current: dict[int, int] = {}
        self.written: set[int] = set()
        self.scalars = 0
        self.thresholds = 0

    def add(self, op: Op) -> int:
        self.ops.append(op)
        return len(self.ops) - 1

    def load(self, slot: int) -> int:
        if slot not in self.current:
            self.current[slot] = self.add(Op("load", index=slot))
        return self.current[slot]

    def argument(self, step: Step, argument: Argument) -> int:
        name, role = argument.name, argument.role
        if role in (Gene, State):
            return self.load(dict(step.slots)[name])
        if role is TileScalar:
            return self.add(Op("table", index=dict(step.tables)[name]))
        if role is Scalar:
            self.scalars += 1
            return self.add(Op("scalar", index=self.scalars - 1))
        noise = dict(step.noises)[name]
        if role is Chance:
            self.thresholds += 1
            return self.add(Op("chance", index=self.thresholds - 1, noise=noise))
        assert role in (Uniform, Normal), role
        return self.add(Op(role.__name__.lower(), noise=noise))

    def step(self, step: Step) -> None:
        program = step.kernel.trace()
        numbers: list[int] = []
        for op in program.ops:
            if op.code in ("argument", "chance"):
                numbers.append(self.argument(step, step.kernel.arguments[op.index]))
            else:
                numbers.append(self.add(replace(op, operands=tuple(numbers[i] for i in op.operands))))
        slots = dict(step.slots)
        results = {
            slots[name]: self.rounded(step, name, slots[name], numbers[output])
            for name, output in zip(step.kernel.written, program.outputs, strict=True)
        }
        self.current.update(results)
        self.written.update(results)

    def rounded(self, step: Step, name: str, slot: int, number: int) -> int:
        """The value as its storage keeps it, so that a later step reads what it would read from memory."""
        if self.slots[slot] == FLOAT32 or self.is_narrow(number):
            return number
        noises = dict(step.noises)
        if name == step.kernel.target and ROUNDING in noises:
            return self.add(Op("stochastic", (number,), noise=noises[ROUNDING]))
        return self.add(Op("nearest", (number,)))

    def is_narrow(self, number: int) -> bool:
        """Whether a value is a bfloat16 whatever the genes are, so that rounding it, either way, changes nothing."""
        op = self.ops[number]
        if op.code == "where":
            return all(self.is_narrow(operand) for operand in op.operands[1:])
        if op.code in ("neg", "abs"):
            return self.is_narrow(op.operands[0])
        return op.code in ("nearest", "stochastic") or (op.code == "load" and self.slots[op.index] == BFLOAT16)


@cache
def fuse(steps: tuple[Step, ...], *, slots: tuple[str, ...], tables: int, noise_bits: tuple[int, ...]) -> Fused:
    """The pipeline of `steps` as one program; `slots` are storage types, `noise_bits` the width of each source."""
    fuser = _Fuser(slots)
    for step in steps:
        fuser.step(step)
    stores = {slot: fuser.current[slot] for slot in sorted(fuser.written)}
    ops, renumbered = _without_unused(fuser.ops, stores.values())
    return Fused(
        ops=ops,
        slots=slots,
        tables=tables,
        scalars=fuser.scalars,
        thresholds=fuser.thresholds,
        noises=tuple(_source(ops, noise, bits) for noise, bits in enumerate(noise_bits)),
        stores=tuple((slot, renumbered[number]) for slot, number in stores.items()),
    )


def fuse_kernels(kernels: Sequence[GeneKernel], *, storage: str = FLOAT32) -> Fused:
    """The pipeline of kernels alone, one storage for all: arguments of one name are one tensor, each noise its own stream."""
    slots: dict[str, int] = {}
    tables: dict[str, int] = {}
    noise_bits: list[int] = []
    steps = []
    for kernel in kernels:
        noises = {}
        for argument in kernel.arguments:
            if argument.role in (Gene, State):
                slots.setdefault(argument.name, len(slots))
            elif argument.role is TileScalar:
                tables.setdefault(argument.name, len(tables))
            elif argument.is_noise:
                noises[argument.name] = len(noise_bits)
                noise_bits.append(argument.bits)
        steps.append((kernel, noises))
    return fuse(
        tuple(Step(k, tuple(slots.items()), tuple(tables.items()), tuple(n.items())) for k, n in steps),
        slots=(storage,) * len(slots),
        tables=len(tables),
        noise_bits=tuple(noise_bits),
    )


def _without_unused(ops: Sequence[Op], outputs: Collection[int]) -> tuple[tuple[Op, ...], dict[int, int]]:
    needed = set(outputs)
    for number in reversed(range(len(ops))):
        if number in needed:
            needed.update(ops[number].operands)
    renumbered = {old: new for new, old in enumerate(sorted(needed))}
    kept = (replace(ops[old], operands=tuple(renumbered[i] for i in ops[old].operands)) for old in renumbered)
    return tuple(kept), renumbered


def _source(ops: Sequence[Op], noise: int, bits: int) -> NoiseSource:
    users = {op.code for op in ops if op.noise == noise}
    return NoiseSource(bits, as_bits=bool(users - {"normal"}), as_normal="normal" in users)
