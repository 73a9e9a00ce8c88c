"""A disk that dies or fails at a chosen call: it stands in for the ``os`` module that ``evoweights.storage.durable`` uses."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from evoweights.storage.checkpoints import CheckpointStore

CHANGES = ("open", "write", "fsync", "ftruncate", "mkdir", "rmdir", "rename", "replace", "link", "unlink")


class PowerCut(BaseException):
    """The process is gone: nothing after this moment reaches the disk."""


class FaultyDisk:
    """Every call that can change the disk, counted; from call ``cut_at`` on none is carried out.

    ``fail_at`` raises ``error`` at that one call only. ``torn`` carries out half of a write that is cut off or fails.
    ``unsynced`` holds the inodes whose content is not on the disk; with ``lies`` fsync changes nothing about that.
    The real fsync is not called, which would make these tests slow and not stricter.
    """

    def __init__(
        self,
        *,
        cut_at: int | None = None,
        fail_at: int | None = None,
        error: int = 0,
        torn: bool = False,
        lies: bool = False,
    ) -> None:
        self.cut_at, self.fail_at, self.error, self.torn, self.lies = cut_at, fail_at, error, torn, lies
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.unsynced: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self._guarded(name, real) if name in CHANGES else real

    def _guarded(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            number = len(self.calls)
            self.calls.append((name, arguments))
            if self.cut_at is not None and number >= self.cut_at:
                self._tear(name, arguments, number == self.cut_at)
                raise PowerCut
            if number == self.fail_at:
                self._tear(name, arguments, True)
                raise OSError(self.error, os.strerror(self.error), "injected")
            return self._done(name, real, *arguments, **options)

        return call

    def _tear(self, name: str, arguments: tuple[Any, ...], first: bool) -> None:
        if self.torn and first and name == "write":
            descriptor, content = arguments
            self.unsynced.add(os.fstat(descriptor).st_ino)
            os.write(descriptor, content[: len(content) // 2])

    def _done(self, name: str, real: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        if name == "write":
            self.unsynced.add(os.fstat(arguments[0]).st_ino)
        if name == "fsync":
            if not self.lies:
                self.unsynced.discard(os.fstat(arguments[0]).st_ino)
            return None
        return real(*arguments, **options)


def lose(folder: Path, inodes: set[int], how: str) -> list[Path]:
    """What a power cut does to files that were not fsynced; the files it hit."""
    hit = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_ino in inodes]
    for path in hit:
        size = path.stat().st_size
        if how == "absent":
            path.unlink()
        elif how == "truncated":
            os.truncate(path, size // 2)
        else:
            path.write_bytes(bytes(size))
    return hit


def files_of(step: int) -> dict[str, Callable[[], dict[str, torch.Tensor]]]:
    """Tensors that differ from step to step, and one file that never does."""
    return {
        "individuals/0000": lambda: {"weights": torch.full((9,), float(step)), "adam": torch.zeros(4)},
        "individuals/0001": lambda: {"weights": torch.arange(8, dtype=torch.bfloat16)},
    }


def save(store: CheckpointStore, step: int, mark: str = "") -> Path:
    """Save a small checkpoint; ``mark`` tells two of one step apart."""
    return store.save(step, files_of(step), {"step": step, "mark": mark}, unchanged=["individuals/0001"])


def fresh_copies(template: Path, folder: Path) -> Iterator[tuple[int, Path]]:
    """Numbered copies of a folder, one at a time, hard links kept; without end."""
    number = 0
    while True:
        target = folder / "copy"
        shutil.rmtree(target, ignore_errors=True)
        inodes: dict[int, Path] = {}

        def link_or_copy(source: str, destination: str, inodes: dict[int, Path] = inodes) -> None:
            inode = os.stat(source).st_ino
            if inode in inodes:
                os.link(inodes[inode], destination)
            else:
                shutil.copyfile(source, destination)
                inodes[inode] = Path(destination)

        shutil.copytree(template, target, copy_function=link_or_copy)
        yield number, target
        number += 1
