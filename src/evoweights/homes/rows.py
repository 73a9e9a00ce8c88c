"""The tensors of N individuals, one row each: on a device, in host memory or on disk."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol, final

import torch
from torch import Tensor

from evoweights.errors import ResourceError

WEIGHTS = "weights"
HOMES = ("auto", "device", "host", "disk")


@final
class _MemoryRows:
    """N rows in one tensor; in host memory it is pinned where there is CUDA."""

    def __init__(self, table: Tensor) -> None:
        self.table = table

    @classmethod
    def make(cls, size: int, genes: int, dtype: torch.dtype, device: torch.device) -> "_MemoryRows":
        """New rows of zeros."""
        pin = device.type == "cpu" and torch.cuda.is_available()
        return cls(torch.zeros(size, genes, dtype=dtype, device=device, pin_memory=pin))

    def row(self, index: int) -> Tensor:
        """Row ``index``, to read or write."""
        return self.table[index]


@final
class _DiskRows:
    """N rows, each a file that is mapped while a tensor of it is alive."""

    def __init__(self, size: int, genes: int, dtype: torch.dtype, folder: Path, name: str) -> None:
        self.files = [folder / f"{name}.{index:04d}" for index in range(size)]
        self.genes, self.dtype = genes, dtype
        folder.mkdir(parents=True, exist_ok=True)
        for file in self.files:
            try:
                with file.open("wb") as stream:
                    stream.truncate(genes * dtype.itemsize)
            except OSError as error:
                raise ResourceError(
                    f"population.home: cannot make {file} ({error}). Free space or set home to host."
                ) from error

    def row(self, index: int) -> Tensor:
        """Row ``index``, to read or write."""
        if self.genes == 0:
            return torch.zeros(0, dtype=self.dtype)
        file = self.files[index]
        # Torch would make a missing file anew, of zeros.
        if not file.is_file() or file.stat().st_size != self.genes * self.dtype.itemsize:
            raise ResourceError(
                f"population.home: {file} was removed or cut short while the run needs it. Leave the folder of a run alone; the "
                "same command continues from the last checkpoint."
            )
        return torch.from_file(str(file), shared=True, size=self.genes, dtype=self.dtype)


class Event(Protocol):
    """The moment when a side stream has done what it was given so far."""

    def wait(self) -> None:
        """Let the main stream go on only then."""
        ...

    def synchronize(self) -> None:
        """Return only then."""
        ...


@final
class Rows:
    """Named tensors of N individuals. Each has a version, a number that changes when it is written.

    ``only`` are tensors that exist already and are those of the one individual there is.
    """

    def __init__(
        self,
        dtypes: Mapping[str, torch.dtype],
        size: int,
        genes: int,
        *,
        home: str,
        device: torch.device,
        folder: Path,
        only: Mapping[str, Tensor],
    ) -> None:
        self.names = tuple(dtypes)
        where = device if home == "device" else torch.device("cpu")
        self._tables: dict[str, _MemoryRows | _DiskRows] = {}
        for name, dtype in dtypes.items():
            if name in only:
                self._tables[name] = _MemoryRows(only[name][None])
            elif home == "disk":
                self._tables[name] = _DiskRows(size, genes, dtype, folder, name)
            else:
                self._tables[name] = _MemoryRows.make(size, genes, dtype, where)
        self._versions: Counter[tuple[int, str]] = Counter()
        self._writing: dict[tuple[int, str], Event] = {}

    def row(self, index: int, name: str = WEIGHTS) -> Tensor:
        """A tensor of individual ``index`` where it lives, once nothing is being written there."""
        if event := self._writing.pop((index, name), None):
            event.synchronize()
        return self._tables[name].row(index)

    def changed(self, index: int, *, but: Iterable[str] = ()) -> None:
        """The tensors of an individual were written, except for those named."""
        self._versions.update((index, name) for name in self.names if name not in but)

    def version(self, index: int, name: str) -> int:
        """The version of a tensor."""
        return self._versions[index, name]

    def write_later(self, index: int, names: Iterable[str], event: Event) -> None:
        """These tensors are written by ``event``; :meth:`row` waits for it."""
        self._writing |= {(index, name): event for name in names}


def is_mounted_in_place(size: int, home: str, device: torch.device) -> bool:
    """Whether the individuals' tensors can be the live module's own: a single one that lives where it trains."""
    return size == 1 and (home == "device" or (home == "host" and device.type == "cpu"))


def resolve_home(home: str, size_bytes: int, device: torch.device) -> str:
    """What the home ``auto`` means: the device if the population takes at most half of its free memory, else the host."""
    if home != "auto":
        return home
    fits = device.type == "cuda" and size_bytes <= torch.cuda.mem_get_info(device)[0] // 2
    return "device" if fits else "host"
