"""Large products and tables with perturbed weights, in pieces of rows: nothing of the size of the whole weight is made."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from evoweights_kernels import TILE

if TYPE_CHECKING:
    from evoweights_es.layers import Owned
    from evoweights_es.windows import Windows


class InPieces(TorchFunctionMode):
    """Carries out linear layers and look-ups in the weights given, by ``id`` of the parameter, in pieces."""

    def __init__(self, windows: "Windows", weights: "Mapping[int, Owned]") -> None:
        super().__init__()
        self.windows, self.weights = windows, weights

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the function, or do in pieces what it does."""
        weight = self.weights.get(id(args[1])) if len(args) > 1 else None
        options = kwargs or {}
        if weight is not None and weight.segment.name not in self.windows.shown:
            if func is functional.linear and not options:
                return _linear(self.windows, weight, *args)
            if func is functional.embedding and options.get("max_norm") is None:  # else it writes to the weight
                return _embedding(self.windows, weight, args[0])
        return func(*args, **options)


def _linear(windows: "Windows", weight: "Owned", input: Tensor, _: Tensor, bias: Tensor | None = None) -> Tensor:
    made = input.new_empty(*input.shape[:-1], weight.segment.shape[0])
    for first, last, room in _pieces(windows, weight):
        rows = _rows(windows, weight, first, last, room, None)
        made[..., first:last] = functional.linear(input, rows, None if bias is None else bias[first:last])
    return made


def _embedding(windows: "Windows", weight: "Owned", input: Tensor) -> Tensor:
    compute = weight.part.compute
    made = torch.zeros(*input.shape, weight.segment.shape[1], dtype=compute.dtype, device=compute.device)
    for first, last, room in _pieces(windows, weight):
        is_here = (input >= first) & (input < last)
        if input.device.type == "cpu" and not is_here.any():  # elsewhere a look would wait for the device
            continue
        place = torch.where(is_here, input - first, last - first)
        rows = _rows(windows, weight, first, last, room, _read_tiles(place, first, last, weight.segment.shape[1]))
        found = functional.embedding(place.clamp(max=last - first - 1), rows)
        made = torch.where(is_here[..., None], found, made)
    return made


def _pieces(windows: "Windows", weight: "Owned") -> Iterator[tuple[int, int, Tensor]]:
    """Rows from and to, as many as a piece holds, and the memory for them."""
    rows, columns = weight.segment.shape
    aligned = TILE // math.gcd(TILE, columns)
    at_once = max(1, windows.piece // columns)
    if at_once > aligned:
        at_once -= at_once % aligned  # so that rows begin where a tile does, which products like better
    with windows.room(at_once * columns + TILE, weight.part.compute) as room:
        for first in range(0, rows, at_once):
            yield first, min(first + at_once, rows), room


def _rows(windows: "Windows", weight: "Owned", first: int, last: int, room: Tensor, live: Tensor | None) -> Tensor:
    """Perturbed rows of a matrix, ``[last - first, columns]``, in ``room``."""
    columns, start = weight.segment.shape[1], _start(first, weight.segment.shape[1])
    out = room[: last * columns - start]
    windows.fill(out, weight, start, live)
    return out[first * columns - start :].view(last - first, columns)


def _start(row: int, columns: int) -> int:
    """The gene with which the tile begins that a row begins in."""
    return row * columns // TILE * TILE


def _read_tiles(place: Tensor, first: int, last: int, columns: int) -> Tensor:
    """Table of the tiles that rows at these places lie in, as kernels take it; a place of ``last - first`` is none of them.

    It does not wait for the device.
    """
    is_read = torch.zeros(last - first + 1, dtype=torch.int32, device=place.device)
    is_read[place.flatten()] = 1
    before = torch.zeros(last - first + 1, dtype=torch.int64, device=place.device)
    torch.cumsum(is_read[:-1], 0, out=before[1:])
    start = _start(first, columns)
    genes = torch.arange(start, last * columns, TILE, device=place.device)
    lowest = (genes // columns - first).clamp(min=0)
    highest = ((genes + TILE - 1) // columns - first + 1).clamp(max=last - first)
    return torch.where(before[highest] > before[lowest], TILE, 0).to(torch.int32)
