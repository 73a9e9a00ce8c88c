"""The reference target: the original function on torch CPU tensors, chunk by chunk. Slow, and right by definition."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from evoweights_kernels import noise
from evoweights_kernels.body import Argument, GeneKernel
from evoweights_kernels.call import Call
from evoweights_kernels.constants import TILE
from evoweights_kernels.noise import CHUNK_TILES
from evoweights_kernels.roles import Chance, Gene, Normal, Scalar, State, TileScalar, Uniform
from evoweights_kernels.scalars import to_float32
from evoweights_kernels.storage import round_to_bfloat16


class Lanes(Tensor):
    """Tensors on which Python's operators mean what a body means by them."""

    def __rtruediv__(self, other: Any) -> Any:
        """A literal divided by a tensor is one division; torch would multiply by the reciprocal."""
        return torch.full_like(self, other) / self

    # `x += y` in a body binds a new value; on a torch tensor it would write into the caller's.
    __iadd__, __isub__, __imul__, __itruediv__ = (
        Tensor.__add__,
        Tensor.__sub__,
        Tensor.__mul__,
        Tensor.__truediv__,
    )
    __iand__, __ior__ = Tensor.__and__, Tensor.__or__


@torch.no_grad()
def run(calls: Sequence[Call], *, seed: int, live: Tensor | None, first_tile: int) -> None:
    """Apply the calls in order, in place; tensors of another device are copied here and back."""
    genes = calls[0].target.numel()
    for start in range(0, genes, CHUNK_TILES * TILE):
        stop = min(start + CHUNK_TILES * TILE, genes)
        is_live = _live_genes(live, start, stop)
        if is_live.any():
            for call in calls:
                _run_chunk(call, start, stop, seed=seed, is_live=is_live, first_tile=first_tile)


def source(kernels: Sequence[GeneKernel]) -> str:
    """The functions as they were written: nothing is generated."""
    return "\n".join(inspect.getsource(kernel.function) for kernel in kernels)


def _live_genes(live: Tensor | None, start: int, stop: int) -> Tensor:
    if live is None:
        return torch.ones(stop - start, dtype=torch.bool)
    counts = live[start // TILE : -(-stop // TILE)].cpu()
    return (torch.arange(TILE) < counts[:, None]).flatten()[: stop - start]


def _run_chunk(call: Call, start: int, stop: int, *, seed: int, is_live: Tensor, first_tile: int) -> None:
    first_gene = first_tile * TILE + start
    arguments = [
        _lanes(call, argument, start, stop, seed=seed, first_gene=first_gene) for argument in call.kernel.arguments
    ]
    returned = call.kernel.function(*arguments)
    for name, value in zip(call.kernel.written, _as_tuple(returned), strict=True):
        tensor = call.tensors[name][start:stop]
        value = torch.as_tensor(value, dtype=torch.float32).as_subclass(Tensor).expand(stop - start)
        if tensor.dtype == torch.bfloat16:
            words = None
            if name == call.kernel.target and call.rounding is not None:
                words = noise.random_bits(seed, call.rounding, stop - start, bits=16, first_gene=first_gene)
            value = round_to_bfloat16(value, words)
        tensor.copy_(torch.where(is_live, value, tensor.cpu()))


def _as_tuple(returned: Any) -> tuple[Any, ...]:
    return returned if isinstance(returned, tuple) else (returned,)


def _lanes(call: Call, argument: Argument, start: int, stop: int, *, seed: int, first_gene: int) -> Tensor:
    """One argument for the genes start .. stop-1, as the function sees it."""
    name, count = argument.name, stop - start
    if argument.role is Scalar:
        value = torch.tensor(to_float32(call.scalars[name]), dtype=torch.float32)
    elif argument.role in (Gene, State):
        # A copy: what the function returns must not change while its other results are written.
        value = call.tensors[name][start:stop].cpu().to(torch.float32, copy=True)
    elif argument.role is TileScalar:
        table = call.tensors[name][start // TILE : -(-stop // TILE)].cpu()
        value = table.repeat_interleave(TILE)[:count]
    else:
        value = _noise(call, argument, count, seed=seed, first_gene=first_gene)
    return value.as_subclass(Lanes)


def _noise(call: Call, argument: Argument, count: int, *, seed: int, first_gene: int) -> Tensor:
    stream, bits = call.streams[argument.name], argument.bits
    if argument.role is Uniform:
        return noise.uniforms(seed, stream, count, bits=bits, first_gene=first_gene)
    if argument.role is Normal:
        return noise.normals(seed, stream, count, bits=bits, first_gene=first_gene)
    assert argument.role is Chance, argument
    probability = call.scalars[argument.name]
    return noise.chances(seed, stream, count, probability=probability, bits=bits, first_gene=first_gene)
