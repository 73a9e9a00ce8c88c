"""Copies that a module computes with where its genome is of another type: whether anything but their owner wrote to them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from evoweights.errors import PluginError
from evoweights.homes.part import Part
from evoweights_kernels import TILE


@dataclass
class CopyWatch:
    """Notices writes to the copies of ``parts`` between two refreshes; only :meth:`refuse_writes` waits for the device."""

    _digests: list[Tensor] = field(default_factory=list)
    _written: Tensor | None = None

    def look_(self, parts: Sequence[Part]) -> None:
        """Note whether copies differ from what :meth:`keep_` saw."""
        for copy, digest in zip(_copies(parts), self._digests, strict=False):
            differs = (_digest(copy) != digest).any()
            self._written = differs if self._written is None else self._written | differs

    def keep_(self, parts: Sequence[Part]) -> None:
        """Remember the copies as they are now."""
        self._digests = [_digest(copy) for copy in _copies(parts)]

    def refuse_writes(self, parts: Sequence[Part], improver: str) -> None:
        """See that no write was noted.

        Raises:
            PluginError: something wrote to a copy; the next refresh overwrites it, and no genome ever has it.
        """
        self.look_(parts)
        if self._written is None or not bool(self._written):
            return
        name = str(_copies(parts)[0].dtype).removeprefix("torch.")
        raise PluginError(
            f"improve {improver}: the module's parameters were written to, but they are {name} copies that are rounded anew "
            "from the genome, so the work would be lost. Let the improver write to part.weights of mounted.parts, or set "
            "task.dtype to float32 or bfloat16, where the parameters are the genome."
        )


def _copies(parts: Sequence[Part]) -> list[Tensor]:
    return [part.compute for part in parts if part.compute is not part.weights]


def _digest(genes: Tensor) -> Tensor:
    """A whole number for each tile: the sum of its bits, read as int64, which no accidental change of many genes keeps."""
    return genes.view(torch.int64).view(genes.numel() // TILE, -1).sum(1)
