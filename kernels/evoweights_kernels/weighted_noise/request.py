"""What one launch is asked for: checked tensors, streams, weights and numbers, the same for every target."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from evoweights_kernels.constants import TILE
from evoweights_kernels.errors import KernelError
from evoweights_kernels.plan import check_live
from evoweights_kernels.scalars import chance_threshold, to_float32, to_uint64

STORAGE = (torch.float32, torch.bfloat16)


@final
@dataclass(frozen=True)
class Shape:
    """What decides the generated code: storage of x and of base (None: x itself), and what else is read."""

    storage: str
    base: str | None
    bits: int
    has_mask: bool
    is_stochastic: bool


@final
@dataclass(frozen=True, eq=False)
class Request:
    """One launch. ``streams`` and ``weights`` are those of members whose weight is not 0."""

    x: Tensor
    base: Tensor | None
    streams: tuple[int, ...]
    weights: tuple[float, ...]
    seed: int
    bits: int
    scale: Tensor | None
    mask: tuple[int, int] | None
    live: Tensor | None
    first_tile: int
    rounding: int | None

    @property
    def genes(self) -> int:
        """Length of x."""
        return self.x.numel()

    @property
    def tiles(self) -> int:
        """Number of tiles, the last one possibly partial."""
        return -(-self.genes // TILE)


def check_request(
    x: Tensor,
    *,
    streams: Sequence[int],
    weights: Sequence[float],
    seed: int,
    base: Tensor | None,
    bits: int,
    scale: Tensor | None,
    mask: tuple[int, float] | None,
    live: Tensor | None,
    first_tile: int,
    rounding: int | None,
) -> Request:
    """The launch that was asked for.

    Raises:
        KernelError: something has the wrong shape, type or device, or is out of range.
    """
    _check_genes("x", x, x)
    if base is not None:
        _check_genes("base", base, x)
    tiles = -(-x.numel() // TILE)
    if scale is not None:
        _check_scale(scale, tiles, x)
    if live is not None:
        _check_live(live, x)
    if bits not in (16, 32):
        raise _error(f"bits must be 16 or 32, found {bits!r}")
    if isinstance(first_tile, bool) or not isinstance(first_tile, int) or not 0 <= first_tile < 1 << 53:
        raise _error(f"first_tile must be a whole number within [0, 2^53), found {first_tile!r}")
    members = _members(streams, weights)
    return Request(
        x=x,
        base=None if base is None or base.data_ptr() == x.data_ptr() else base,
        streams=tuple(stream for stream, _ in members),
        weights=tuple(weight for _, weight in members),
        seed=to_uint64(_whole(seed)),
        bits=bits,
        scale=scale,
        mask=None if mask is None else _mask(mask),
        live=live,
        first_tile=first_tile,
        rounding=None if rounding is None or x.dtype != torch.bfloat16 else to_uint64(_whole(rounding)),
    )


def shape_of(request: Request) -> Shape:
    """What decides the code that is generated for a launch."""
    names = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
    return Shape(
        storage=names[request.x.dtype],
        base=None if request.base is None else names[request.base.dtype],
        bits=request.bits,
        has_mask=request.mask is not None,
        is_stochastic=request.rounding is not None,
    )


def _whole(number: int) -> int:
    if isinstance(number, bool) or not isinstance(number, int):
        raise _error(f"seeds and streams must be integers (see stream_id), found {number!r}")
    return number


def _check_genes(name: str, tensor: Tensor, x: Tensor) -> None:
    if not isinstance(tensor, Tensor) or tensor.dim() != 1 or not tensor.is_contiguous():
        found = f"shape {tuple(tensor.shape)}" if isinstance(tensor, Tensor) else type(tensor).__name__
        raise _error(f"{name} must be a flat contiguous tensor, found {found}")
    if tensor.dtype not in STORAGE:
        raise _error(f"{name} is {tensor.dtype}; allowed are {', '.join(map(str, STORAGE))}")
    if tensor.device != x.device or tensor.numel() != x.numel():
        raise _error(
            f"{name} has {tensor.numel()} elements on {tensor.device}, x has {x.numel()} on {x.device}; both must agree"
        )
    same = tensor.data_ptr() == x.data_ptr() and tensor.dtype == x.dtype
    first, last = tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes
    if not same and first < x.data_ptr() + x.nbytes and x.data_ptr() < last:
        raise _error(f"{name} overlaps x without being the same; copy one of them")


def _members(streams: Sequence[int], weights: Sequence[float]) -> list[tuple[int, float]]:
    """Stream and float32 weight of the members whose weight is not 0."""
    if len(streams) != len(weights):
        raise _error(f"{len(streams)} streams and {len(weights)} weights were given; every member needs one of each")
    for weight in weights:
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not math.isfinite(weight):
            raise _error(f"weights must be finite numbers, found {weight!r}")
    rounded = [to_float32(weight) for weight in weights]
    if math.inf in map(abs, rounded):
        raise _error("a weight is too large for float32")
    return [(to_uint64(_whole(stream)), weight) for stream, weight in zip(streams, rounded, strict=True) if weight]


def _check_scale(scale: Tensor, tiles: int, x: Tensor) -> None:
    is_tensor = isinstance(scale, Tensor)
    if not is_tensor or scale.dtype != torch.float32 or scale.shape != (tiles,) or not scale.is_contiguous():
        found = f"{scale.dtype} {tuple(scale.shape)}" if is_tensor else type(scale).__name__
        raise _error(f"scale must be torch.float32 of {tiles} elements, one a tile of {TILE} genes, found {found}")
    if scale.device != x.device:
        raise _error(f"scale lies on {scale.device}, x on {x.device}; move one of them")


def _check_live(live: Tensor, x: Tensor) -> None:
    if not isinstance(live, Tensor):
        raise _error(f"live must be a tensor (live_table(numel) makes one), found {type(live).__name__}")
    try:
        check_live(live, x)
    except KernelError as error:
        raise _error(str(error)) from error


def _mask(mask: tuple[int, float]) -> tuple[int, int]:
    """The stream, and the number below which a draw of 16 bits lets a gene take part."""
    if (
        not isinstance(mask, tuple)
        or len(mask) != 2
        or isinstance(mask[1], bool)
        or not isinstance(mask[1], (int, float))
    ):
        raise _error(f"mask must be a pair of a stream and a probability, found {mask!r}")
    try:
        return to_uint64(_whole(mask[0])), chance_threshold(mask[1], 16)
    except KernelError as error:
        raise _error(f"mask: {error}") from error


def _error(message: str) -> KernelError:
    return KernelError(f"add_weighted_noise_: {message}")
