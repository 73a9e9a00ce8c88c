"""Small checkpoints to save, and copies of folders to break."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from evoweights.storage.checkpoints import CheckpointStore


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
