"""Perturbed layer by layer: while a layer runs it has other weights, and the weights themselves are never written.

A layer that owns parameters is given a workspace to read instead, for the time of its forward. Large products and tables are
carried out in pieces of rows, so the workspace has the size of a piece and a member needs hardly more memory than the model.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from evoweights.genome import Segment
from evoweights.homes.part import Part
from evoweights.mounted import Mounted
from evoweights_kernels import TILE

PIECE = 1 << 22
"""Genes of a workspace at most, unless a layer of another kind is larger."""


class Write(Protocol):
    """Writes perturbed weights."""

    def __call__(self, out: Tensor, part: Part, label: str, segment: Segment, first: int) -> None:
        """Fill ``out`` with those of the segment's genes from ``first``, a multiple of the tile, on."""
        ...


@dataclass(frozen=True)
class Owned:
    """A perturbed parameter of a layer and where it lies."""

    attribute: str
    parameter: nn.Parameter
    part: Part
    label: str
    segment: Segment


@dataclass(frozen=True)
class Layer:
    """A module that owns perturbed parameters."""

    path: str
    module: nn.Module
    owned: tuple[Owned, ...]


@dataclass
class Windows:
    """The layers of a module, the way their weights are written, and workspaces for layers within layers."""

    write: Write
    depth: int = 0
    workspaces: list[Tensor] = field(default_factory=list)

    @contextmanager
    def room(self, genes: int, like: Tensor) -> Iterator[Tensor]:
        """A workspace of so many genes, used again by the next layer."""
        if len(self.workspaces) == self.depth:
            self.workspaces.append(torch.empty(0, dtype=like.dtype, device=like.device))
        if self.workspaces[self.depth].numel() < genes:
            self.workspaces[self.depth] = torch.empty(genes, dtype=like.dtype, device=like.device)
        room = self.workspaces[self.depth][:genes]
        self.depth += 1
        try:
            yield room
        finally:
            self.depth -= 1

    def rows(self, owned: Owned, first: int, last: int, room: Tensor) -> Tensor:
        """Perturbed rows of a matrix, ``[last - first, ...]``, in ``room``."""
        columns = owned.segment.count // owned.segment.shape[0]
        start = first * columns // TILE * TILE
        out = room[: last * columns - start]
        self.write(out, owned.part, owned.label, owned.segment, start)
        return out[first * columns - start :].view(last - first, *owned.segment.shape[1:])


def layers_of(mounted: Mounted, segments: Callable[[Part], list[Segment]]) -> list[Layer]:
    """The modules that own a perturbed parameter; a tied one belongs to several."""
    parameters = dict(mounted.module.named_parameters())
    places = {
        id(parameters[segment.name]): (part, label, segment)
        for label, part in (("own", mounted.own), ("shared", mounted.shared))
        for segment in segments(part)
    }
    found = []
    for path, module in mounted.module.named_modules():
        own = module.named_parameters(recurse=False, remove_duplicate=False)
        owned = tuple(Owned(name, each, *places[id(each)]) for name, each in own if id(each) in places)
        if owned:
            found.append(Layer(path, module, owned))
    return found


@contextmanager
def open_windows(layers: list[Layer], write: Write) -> Iterator[None]:
    """Let the layers run with the weights that ``write`` writes, as long as the context lasts."""
    windows = Windows(write)
    with ExitStack() as stack:
        for layer in layers:
            inner = layer.module.__dict__.get("forward")
            forward = _forward(layer, windows)
            layer.module.__dict__["forward"] = forward
            stack.callback(_put_back, layer.module, inner)
        yield


def _put_back(module: nn.Module, forward: Any) -> None:
    if forward is None:
        module.__dict__.pop("forward", None)
    else:
        module.__dict__["forward"] = forward


def _forward(layer: Layer, windows: Windows) -> Callable[..., Any]:
    """A layer's forward with perturbed weights: in pieces where it is large and of a kind that can be."""
    from transformers.pytorch_utils import Conv1D

    weight = next((each for each in layer.owned if each.attribute == "weight"), None)
    is_plain = "forward" not in layer.module.__dict__
    if weight is not None and is_plain and weight.segment.count > PIECE:
        for kind, maker in ((nn.Linear, _linear), (Conv1D, _conv1d), (nn.Embedding, _embedding)):
            if isinstance(layer.module, kind) and type(layer.module).forward is kind.forward:
                return maker(layer, weight, windows)
    return _whole(layer, windows)


def _whole(layer: Layer, windows: Windows) -> Callable[..., Any]:
    original = layer.module.forward
    starts, genes = [], 0
    for each in layer.owned:
        starts.append(genes)
        genes += -(-each.segment.count // TILE) * TILE

    def forward(*args: Any, **kwargs: Any) -> Any:
        kept = [each.parameter.data for each in layer.owned]
        with windows.room(genes, kept[0]) as room:
            try:
                for start, each in zip(starts, layer.owned, strict=True):
                    out = room[start : start + each.segment.count]
                    windows.write(out, each.part, each.label, each.segment, 0)
                    each.parameter.data = out.view(each.segment.shape)
                return original(*args, **kwargs)
            finally:
                for data, each in zip(kept, layer.owned, strict=True):
                    each.parameter.data = data

    return forward


def _pieces(owned: Owned) -> Iterator[tuple[int, int]]:
    """Rows from and to, as many as fit in a piece."""
    rows, columns = owned.segment.shape[0], owned.segment.count // owned.segment.shape[0]
    at_once = max(1, PIECE // columns)
    yield from ((first, min(first + at_once, rows)) for first in range(0, rows, at_once))


def _room(owned: Owned, windows: Windows) -> Any:
    columns = owned.segment.count // owned.segment.shape[0]
    return windows.room(max(PIECE, columns) + TILE, owned.parameter.data)


def _bias(layer: Layer, windows: Windows) -> Tensor | None:
    """The layer's bias, perturbed if it is in scope."""
    for each in layer.owned:
        if each.attribute == "bias":
            out = torch.empty_like(each.parameter.data)
            windows.write(out, each.part, each.label, each.segment, 0)
            return out
    return dict(layer.module.named_parameters(recurse=False)).get("bias")


def _linear(layer: Layer, weight: Owned, windows: Windows) -> Callable[[Tensor], Tensor]:
    def forward(input: Tensor) -> Tensor:
        bias = _bias(layer, windows)
        y = input.new_empty(*input.shape[:-1], weight.segment.shape[0])
        with _room(weight, windows) as room:
            for first, last in _pieces(weight):
                part = None if bias is None else bias[first:last]
                y[..., first:last] = functional.linear(input, windows.rows(weight, first, last, room), part)
        return y

    return forward


def _conv1d(layer: Layer, weight: Owned, windows: Windows) -> Callable[[Tensor], Tensor]:
    def forward(x: Tensor) -> Tensor:
        bias = _bias(layer, windows)
        flat = x.reshape(-1, x.shape[-1])
        y = flat.new_zeros(len(flat), weight.segment.shape[1]) if bias is None else bias.repeat(len(flat), 1)
        with _room(weight, windows) as room:
            for first, last in _pieces(weight):
                y.addmm_(flat[:, first:last], windows.rows(weight, first, last, room))
        return y.view(*x.shape[:-1], -1)

    return forward


def _embedding(layer: Layer, weight: Owned, windows: Windows) -> Callable[[Tensor], Tensor]:
    def forward(input: Tensor) -> Tensor:
        y = weight.parameter.data.new_zeros(*input.shape, *weight.segment.shape[1:])
        with _room(weight, windows) as room:
            for first, last in _pieces(weight):
                is_here = (input >= first) & (input < last)
                if input.device.type == "cpu" and not is_here.any():  # elsewhere a look would wait for the device
                    continue
                rows = windows.rows(weight, first, last, room)
                found = functional.embedding((input - first).clamp(0, last - first - 1), rows)
                y = torch.where(is_here[..., None], found, y)
        return y

    return forward


class _Reads(TorchDispatchMode):
    """Notes operations that read one of the given stretches of memory."""

    def __init__(self, stretches: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.stretches = [(each.data_ptr(), each.data_ptr() + each.nbytes, name) for name, each in stretches.items()]
        self.found: str | None = None
        self.writing = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and look at what it read; one that only gives a view has read nothing."""
        made = func(*args, **(kwargs or {}))
        if not self.writing and self.found is None:
            views = set(self._names(made))
            self.found = next((f"{name} ({func})" for name in self._names((args, kwargs)) if name not in views), None)
        return made

    def _names(self, values: Any) -> Iterator[str]:
        """Whose memory the tensors among the values lie in."""
        for each in tree_leaves(values):
            if isinstance(each, Tensor) and each.numel():
                address = each.data_ptr()
                yield from (name for first, last, name in self.stretches if first <= address < last)


def read_outside(layers: list[Layer], run: Callable[[], object]) -> str | None:
    """A perturbed parameter that ``run`` reads elsewhere than in the forward of a layer that owns it; None if there is none.

    What is read there would not be perturbed.
    """
    reads = _Reads({each.segment.name: each.parameter.data for layer in layers for each in layer.owned})

    def write(out: Tensor, part: Part, label: str, segment: Segment, first: int) -> None:
        reads.writing = True
        out.copy_(segment.view(part.compute).flatten()[first : first + len(out)])
        reads.writing = False

    with open_windows(layers, write), reads:
        run()
    return reads.found
