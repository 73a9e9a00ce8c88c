"""The reference target: the definition, in plain torch on the CPU, chunk by chunk."""

import torch
from torch import Tensor

from evoweights_kernels import noise
from evoweights_kernels.constants import TILE
from evoweights_kernels.noise import CHUNK_TILES
from evoweights_kernels.storage import round_to_bfloat16
from evoweights_kernels.weighted_noise.request import Request


def run(request: Request) -> None:
    """Add the noise in place; tensors of another device are copied here and back."""
    for start in range(0, request.genes, CHUNK_TILES * TILE):
        stop = min(start + CHUNK_TILES * TILE, request.genes)
        is_live = _live(request, start, stop)
        if is_live.any():
            written = request.x[start:stop]
            written.copy_(torch.where(is_live, _value(request, start, stop), written.cpu()))


def _live(request: Request, start: int, stop: int) -> Tensor:
    if request.live is None:
        return torch.ones(stop - start, dtype=torch.bool)
    counts = request.live[start // TILE : -(-stop // TILE)].cpu()
    return (torch.arange(TILE) < counts[:, None]).flatten()[: stop - start]


def _value(request: Request, start: int, stop: int) -> Tensor:
    count, first = stop - start, request.first_tile * TILE + start
    total = torch.zeros(count)
    for stream, weight in zip(request.streams, request.weights, strict=True):
        drawn = noise.normals(request.seed, stream, count, bits=request.bits, first_gene=first)
        total = total + drawn * torch.tensor(weight)
    if request.scale is not None:
        scale = request.scale[start // TILE : -(-stop // TILE)].cpu()
        total = total * scale.repeat_interleave(TILE)[:count]
    if request.mask is not None:
        stream, threshold = request.mask
        takes_part = noise.random_bits(request.seed, stream, count, bits=16, first_gene=first) < threshold
        total = torch.where(takes_part, total, 0.0)
    base = (request.x if request.base is None else request.base)[start:stop].cpu().float()
    value = torch.where(total == 0, base, base + total)
    if request.x.dtype == torch.float32:
        return value
    words = None
    if request.rounding is not None:
        words = noise.random_bits(request.seed, request.rounding, count, bits=16, first_gene=first)
    return round_to_bfloat16(value, words)
