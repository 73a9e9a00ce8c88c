"""Gradients of a batch's pieces, added up without the rounding of a type below float32."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from evoweights.homes.part import Part

_AT_ONCE = 1 << 22
"""Genes that are added together."""


@dataclass
class GradientSums:
    """Keeps what the buffers of ``parts`` hold in float32 meanwhile, where they are below it: each addition to a sum in
    bfloat16 would round it to 8 bits. With one piece nothing is allocated."""

    parts: Sequence[Part]
    _sums: dict[int, Tensor] = field(default_factory=dict)

    def set_aside_(self) -> None:
        """Before the backward pass of every piece but the first: move gradients into the sums."""
        for number, part in enumerate(self.parts):
            if part.gradient.dtype.itemsize < 4:
                known = self._sums.get(number)
                self._sums[number] = part.gradient.float() if known is None else _add_(known, part.gradient)
                part.gradient.zero_()

    def put_back_(self) -> None:
        """After the last piece: let the buffers hold the sum of all, rounded once."""
        for number, total in self._sums.items():
            gradient = self.parts[number].gradient
            gradient.copy_(_add_(total, gradient))


def _add_(total: Tensor, gradient: Tensor) -> Tensor:
    # In pieces, because on a CPU torch converts what it adds as a whole first.
    for sums, added in zip(total.split(_AT_ONCE), gradient.split(_AT_ONCE), strict=True):
        sums.add_(added)
    return total
