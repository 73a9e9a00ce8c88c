"""Places along one dimension of a tensor, taken out of it and put back: by slices where they come in runs."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

LONG = 16
"""Places that a run must have on average for slices to be quicker than an index."""
FEW = 6
"""Slices that are quicker than an index on an accelerator: those of a window around the ring in queries, keys and values."""


@dataclass(frozen=True, eq=False)
class Places:
    """``index`` are the places, ascending (int64 on the CPU); ``runs`` the same as (start, length), empty if they are short."""

    index: Tensor
    runs: tuple[tuple[int, int], ...]
    _sent: dict[torch.device, Tensor] = field(default_factory=dict)

    @classmethod
    def of_units(cls, units: Tensor, of: int, *, width: int = 1, copies: int = 1) -> "Places":
        """The places of ``units`` out of ``of``, each ``width`` wide, in a dimension that holds ``copies`` of all of them."""
        starts = torch.arange(copies)[:, None] * of + units
        index = (starts[..., None] * width + torch.arange(width)).flatten()
        firsts = torch.cat([index.new_zeros(1), (index.diff() != 1).nonzero().flatten() + 1])
        if len(firsts) * LONG > len(index):
            return cls(index, ())
        lengths = torch.cat([firsts, firsts.new_tensor([len(index)])]).diff()
        return cls(index, tuple(zip(index[firsts].tolist(), lengths.tolist(), strict=True)))

    def take(self, source: Tensor, dim: int, *, out: Tensor) -> None:
        """Copy what is at these places of ``source`` to ``out``."""
        if not self._are_sliced(source):
            torch.index_select(source, dim, self._index_on(source), out=out)
            return
        at = 0
        for start, length in self.runs:
            out.narrow(dim, at, length).copy_(source.narrow(dim, start, length))
            at += length

    def put_(self, target: Tensor, dim: int, values: Tensor) -> None:
        """Copy ``values`` to these places of ``target``."""
        if not self._are_sliced(target):
            target.index_copy_(dim, self._index_on(target), values)
            return
        at = 0
        for start, length in self.runs:
            target.narrow(dim, start, length).copy_(values.narrow(dim, at, length))
            at += length

    def _are_sliced(self, tensor: Tensor) -> bool:
        """Whether slices are quicker: on an accelerator each is a launch, so only few are."""
        return bool(self.runs) and (tensor.device.type == "cpu" or len(self.runs) <= FEW)

    def _index_on(self, tensor: Tensor) -> Tensor:
        """The index on the device of a tensor, sent there once."""
        if tensor.device not in self._sent:
            self._sent[tensor.device] = self.index.to(tensor.device)
        return self._sent[tensor.device]
