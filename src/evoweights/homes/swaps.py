"""The way of an individual into the live module's buffers and back: plainly, or beside the work of the individual before.

On a CUDA device with individuals in pinned host memory, the next individual's tensors come to a second set of buffers while the
current one still trains, and the optimizer state of the one before goes home meanwhile. What was rewritten after it had been
fetched is fetched again: every tensor of a row has a version.
"""

from typing import Protocol, final

import torch
from torch import Tensor

from evoweights.homes.rows import WEIGHTS, Event, Rows


class Side(Protocol):
    """A stream of copies beside the main one, done in order."""

    def follow(self) -> None:
        """Begin what comes next only after everything that the main stream has been given so far."""
        ...

    def copy_(self, target: Tensor, source: Tensor) -> None:
        """Copy some time later."""
        ...

    def event(self) -> Event:
        """The moment after the last copy."""
        ...


class Swaps(Protocol):
    """Copies individuals between where they live and the buffers of the live module."""

    looks_ahead: bool
    """Whether :meth:`expect` is of any use."""

    def expect(self, rows: Rows, index: int) -> None:
        """Prepare for the individual that is probably loaded next."""
        ...

    def load_(self, weights: Tensor, slots: dict[str, Tensor], rows: Rows, index: int) -> int:
        """Fill the buffers; ``slots`` may be given other tensors. The bytes that came from the rows since the last time."""
        ...

    def store(self, weights: Tensor, slots: dict[str, Tensor], rows: Rows, index: int) -> int:
        """Copy the buffers home; the bytes that go there."""
        ...


def copy_(target: Tensor, source: Tensor) -> int:
    """Copy and give the number of bytes, unless both are one memory: then nothing is written."""
    if target.data_ptr() == source.data_ptr():
        return 0
    target.copy_(source)
    return target.nbytes


@final
class PlainSwaps:
    """One copy after the other."""

    looks_ahead = False

    def expect(self, rows: Rows, index: int) -> None:
        """Nothing to do."""

    def load_(self, weights: Tensor, slots: dict[str, Tensor], rows: Rows, index: int) -> int:
        """Copy everything in."""
        return sum(copy_(each, rows.row(index, name)) for name, each in {WEIGHTS: weights, **slots}.items())

    def store(self, weights: Tensor, slots: dict[str, Tensor], rows: Rows, index: int) -> int:
        """Copy everything home."""
        return sum(copy_(rows.row(index, name), each) for name, each in {WEIGHTS: weights, **slots}.items())


@final
class SideSwaps:
    """Copies on a side stream, with a second set of buffers.

    The module's parameters stay where they are, so weights are copied over from the second set; slots change places.
    """

    looks_ahead = True

    def __init__(self, side: Side, weights: Tensor, slots: dict[str, Tensor]) -> None:
        self.side = side
        self._spare = {name: torch.empty_like(each) for name, each in {WEIGHTS: weights, **slots}.items()}
        self._fetched: dict[tuple[int, str], int] = {}
        self._arrived: Event | None = None
        self._written: Event | None = None
        self._fetched_bytes = 0

    def expect(self, rows: Rows, index: int) -> None:
        """Fetch an individual into the second set."""
        self._fetched = {(index, name): rows.version(index, name) for name in self._spare}
        self.side.follow()
        for name, buffer in self._spare.items():
            self.side.copy_(buffer, rows.row(index, name))
            self._fetched_bytes += buffer.nbytes
        self._arrived = self.side.event()

    def load_(self, weights: Tensor, slots: dict[str, Tensor], rows: Rows, index: int) -> int:
        """Take what has been fetched and is still as it was; copy the rest."""
        moved, self._fetched_bytes = self._fetched_bytes, 0
        for event in (self._arrived, self._written):  # buffers that were being read home may be written below
            if event is not None:
                event.wait()
        for name in self._spare:
            is_here = self._fetched.get((index, name)) == rows.version(index, name)
            if is_here and name != WEIGHTS:
                slots[name], self._spare[name] = self._spare[name], slots[name]
            else:
                target = weights if name == WEIGHTS else slots[name]
                target.copy_(self._spare[name] if is_here else rows.row(index, name))
                moved += 0 if is_here else target.nbytes
        self._fetched, self._arrived, self._written = {}, None, None
        return moved

    def store(self, weights: Tensor, slots: dict[str, Tensor], rows: Rows, index: int) -> int:
        """Copy weights home at once, as operators want them; slots go on the side."""
        rows.row(index).copy_(weights)
        self.side.follow()
        for name, slot in slots.items():
            self.side.copy_(rows.row(index, name), slot)
        self._written = self.side.event()
        rows.write_later(index, slots, self._written)
        return weights.nbytes + sum(slot.nbytes for slot in slots.values())


@final
class CudaSide:
    """A CUDA stream; host memory must be pinned for copies to run beside the main stream."""

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)

    def follow(self) -> None:
        """Wait, on the device, for the current stream."""
        self.stream.wait_stream(torch.cuda.current_stream(self.stream.device))

    def copy_(self, target: Tensor, source: Tensor) -> None:
        """Enqueue a copy."""
        with torch.cuda.stream(self.stream):
            target.copy_(source, non_blocking=True)

    def event(self) -> Event:
        """A CUDA event after the last copy."""
        return self.stream.record_event()
