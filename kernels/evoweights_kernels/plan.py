"""Planning a launch: which tensors are distinct, what is shared, and every number the fused program reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import torch
from torch import Tensor

from evoweights_kernels.body import ROUNDING
from evoweights_kernels.call import Call
from evoweights_kernels.constants import TILE
from evoweights_kernels.errors import KernelError
from evoweights_kernels.fuse import BFLOAT16, FLOAT32, Fused, Step, fuse
from evoweights_kernels.roles import Chance, Gene, Scalar, State, TileScalar
from evoweights_kernels.scalars import chance_threshold, to_float32, to_uint64

_STORAGE = {torch.float32: FLOAT32, torch.bfloat16: BFLOAT16}


@final
@dataclass(frozen=True, eq=False)
class Plan:
    """A fused program and what it acts on, in the order of its slots, tables, scalars, thresholds and noises."""

    fused: Fused
    tensors: tuple[Tensor, ...]
    tables: tuple[Tensor, ...]
    scalars: tuple[float, ...]
    thresholds: tuple[int, ...]
    streams: tuple[int, ...]
    seed: int
    live: Tensor | None
    first_tile: int

    @property
    def genes(self) -> int:
        """Length of the tensors."""
        return self.tensors[0].numel()

    @property
    def tiles(self) -> int:
        """Number of tiles, the last one possibly partial."""
        return -(-self.genes // TILE)


@final
class _Numbering:
    """Distinct things, numbered in order of appearance."""

    def __init__(self) -> None:
        self.numbers: dict[object, int] = {}
        self.things: list[Tensor] = []

    def number(self, key: object, thing: Tensor) -> int:
        if key not in self.numbers:
            self.numbers[key] = len(self.things)
            self.things.append(thing)
        return self.numbers[key]


def plan(calls: Sequence[Call], *, seed: int, live: Tensor | None, first_tile: int) -> Plan:
    """Fuse the calls and collect what the program reads.

    Raises:
        KernelError: the calls differ in length or device, or tensors overlap without being the same.
    """
    check_calls(calls, live=live, first_tile=first_tile)
    slots, tables = _Numbering(), _Numbering()
    streams: dict[tuple[int, int], int] = {}
    steps = tuple(_step(call, slots, tables, streams) for call in calls)
    _check_overlap(calls)
    fused = fuse(
        steps,
        slots=tuple(_STORAGE[tensor.dtype] for tensor in slots.things),
        tables=len(tables.things),
        noise_bits=tuple(bits for _, bits in streams),
    )
    arguments = [(call, argument) for call in calls for argument in call.kernel.arguments]
    return Plan(
        fused=fused,
        tensors=tuple(slots.things),
        tables=tuple(tables.things),
        scalars=tuple(to_float32(c.scalars[a.name]) for c, a in arguments if a.role is Scalar),
        thresholds=tuple(chance_threshold(c.scalars[a.name], a.bits) for c, a in arguments if a.role is Chance),
        streams=tuple(stream for stream, _ in streams),
        seed=to_uint64(seed),
        live=live,
        first_tile=first_tile,
    )


def _step(call: Call, slots: _Numbering, tables: _Numbering, streams: dict[tuple[int, int], int]) -> Step:
    slot_of, table_of, noise_of = {}, {}, {}
    for argument in call.kernel.arguments:
        name = argument.name
        if argument.role in (Gene, State):
            tensor = call.tensors[name]
            slot_of[name] = slots.number((tensor.data_ptr(), tensor.dtype), tensor)
        elif argument.role is TileScalar:
            table_of[name] = tables.number(call.tensors[name].data_ptr(), call.tensors[name])
        elif argument.is_noise:
            noise_of[name] = streams.setdefault((to_uint64(call.streams[name]), argument.bits), len(streams))
    if call.rounding is not None:
        noise_of[ROUNDING] = streams.setdefault((to_uint64(call.rounding), 16), len(streams))
    return Step(call.kernel, tuple(slot_of.items()), tuple(table_of.items()), tuple(noise_of.items()))


def check_calls(calls: Sequence[Call], *, live: Tensor | None, first_tile: int) -> None:
    """Refuse calls that cannot be one launch.

    Raises:
        KernelError: no calls, different lengths or devices, an unfit live table or first tile.
    """
    if not calls:
        raise KernelError("apply_ needs at least one call, found none")
    first = calls[0].target
    for call in calls[1:]:
        if call.target.numel() != first.numel() or call.target.device != first.device:
            raise KernelError(
                f"calls of one launch act on tensors of one length and device; {calls[0].kernel.name!r} has"
                f" {first.numel()} on {first.device}, {call.kernel.name!r} has {call.target.numel()}"
                f" on {call.target.device}; use a launch each"
            )
    if not 0 <= first_tile < 1 << 53:
        raise KernelError(f"first_tile must lie within [0, 2^53), found {first_tile}")
    if live is not None:
        check_live(live, first)


def check_live(live: Tensor, target: Tensor) -> None:
    """Refuse a live table that does not fit the tensor.

    Raises:
        KernelError: it has the wrong shape, type or device, or on a CPU counts out of range.
    """
    tiles = -(-target.numel() // TILE)
    if live.dtype != torch.int32 or live.shape != (tiles,) or not live.is_contiguous():
        raise KernelError(
            f"live must be a contiguous int32 tensor [{tiles}], found {live.dtype} {list(live.shape)};"
            " live_table(numel) makes one"
        )
    if live.device != target.device:
        raise KernelError(f"live lies on {live.device}, the tensors on {target.device}; move it there")
    # Looking at values on a GPU would wait for it; the kernels clamp there.
    if live.device.type == "cpu" and tiles and not 0 <= int(live.min()) <= int(live.max()) <= TILE:
        raise KernelError(f"live holds counts within [0, {TILE}], found {int(live.min())} to {int(live.max())}")


def _check_overlap(calls: Sequence[Call]) -> None:
    """Same tensors are loaded once; partly overlapping ones have no defined order of reads and writes."""
    spans = []
    for call in calls:
        written = [call.tensors[name].data_ptr() for name in call.kernel.written]
        if len(set(written)) < len(written):
            raise KernelError(
                f"call of {call.kernel.name!r}: {list(call.kernel.written)} are written and must be distinct tensors"
            )
        for name, tensor in call.tensors.items():
            start = tensor.data_ptr()
            stop = start + tensor.numel() * tensor.element_size()
            spans.append((start, stop, str(tensor.dtype), f"{name!r} of {call.kernel.name!r}"))
    spans.sort()
    for before, after in pairwise(spans):
        if before[:3] != after[:3] and after[0] < before[1]:
            raise KernelError(f"{before[3]} and {after[3]} overlap in memory; pass the same tensor or disjoint ones")
