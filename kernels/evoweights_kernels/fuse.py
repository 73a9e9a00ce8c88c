"""Fusing calls: one straight-line program over distinct tensors, which the targets print line by line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

from evoweights_kernels.body import ROUNDING, GeneKernel
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
    """One kernel of a pipeline; its argument names mapped to numbers of slots, tables and noise sources."""

    kernel: GeneKernel
    slots: Mapping[str, int]
    tables: Mapping[str, int]
    noises: Mapping[str, int]


@final
@dataclass(frozen=True)
class Fused:
    """A pipeline as one program. Equal `Fused` print equal code.

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
    def __init__(self, slots: Sequence[str]) -> None:
        self.slots = slots
        self.ops: list[Op] = []
        self.current: dict[int, int] = {}
        self.written: set[int] = set()
        self.scalars = 0
        self.thresholds = 0

    def add(self, op: Op) -> int:
        self.ops.append(op)
        return len(self.ops) - 1

    def argument(self, step: Step, index: int) -> int:
        name, role = step.kernel.arguments[index].name, step.kernel.arguments[index].role
        if role in (Gene, State):
            slot = step.slots[name]
            if slot not in self.current:
                self.current[slot] = self.add(Op("load", index=slot))
            return self.current[slot]
        if role is Scalar:
            self.scalars += 1
            return self.add(Op("scalar", index=self.scalars - 1))
        if role is TileScalar:
            return self.add(Op("table", index=step.tables[name]))
        if role is Chance:
            self.thresholds += 1
            return self.add(Op("chance", index=self.thresholds - 1, noise=step.noises[name]))
        assert role in (Uniform, Normal), role
        return self.add(Op(role.__name__.lower(), noise=step.noises[name]))

    def step(self, step: Step) -> None:
        program = step.kernel.trace()
        numbers: list[int] = []
        for op in program.ops:
            if op.code in ("argument", "chance"):
                numbers.append(self.argument(step, op.index))
            else:
                numbers.append(self.add(replace(op, operands=tuple(numbers[i] for i in op.operands))))
        results = {
            step.slots[name]: self.rounded(step, name, numbers[output])
            for name, output in zip(step.kernel.written, program.outputs, strict=True)
        }
        self.current.update(results)
        self.written.update(results)

    def rounded(self, step: Step, name: str, number: int) -> int:
        """The value as its storage keeps it, so that a later step reads what it would read from memory."""
        if self.slots[step.slots[name]] == FLOAT32:
            return number
        if name == step.kernel.target and ROUNDING in step.noises:
            return self.add(Op("stochastic", (number,), noise=step.noises[ROUNDING]))
        return self.add(Op("nearest", (number,)))


def fuse(steps: Sequence[Step], *, slots: Sequence[str], tables: int, noise_bits: Sequence[int]) -> Fused:
    """The pipeline of `steps` as one program; `slots` are storage types, `noise_bits` the width of each source."""
    fuser = _Fuser(slots)
    for step in steps:
        fuser.step(step)
    stores = {slot: fuser.current[slot] for slot in sorted(fuser.written)}
    ops, renumbered = _without_unused(fuser.ops, stores.values())
    return Fused(
        ops=ops,
        slots=tuple(slots),
        tables=tables,
        scalars=fuser.scalars,
        thresholds=fuser.thresholds,
        noises=tuple(_source(ops, noise, bits) for noise, bits in enumerate(noise_bits)),
        stores=tuple((slot, renumbered[number]) for slot, number in stores.items()),
    )


def fuse_kernels(kernels: Sequence[GeneKernel]) -> Fused:
    """The pipeline of kernels alone, all float32: arguments of one name are one tensor, each noise its own stream."""
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
        steps.append(Step(kernel, slots, tables, noises))
    return fuse(steps, slots=[FLOAT32] * len(slots), tables=len(tables), noise_bits=noise_bits)


def _without_unused(ops: Sequence[Op], outputs: Sequence[int]) -> tuple[tuple[Op, ...], dict[int, int]]:
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
