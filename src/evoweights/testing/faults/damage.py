"""Damage to what lies on a disk: a flipped bit, a file that is cut off."""

import os
from pathlib import Path


def flip_bit(file: Path, bit: int) -> None:
    """Flip one bit of a file, counted from its beginning, or, if negative, from its end (-1 is the last).

    It is done in place, so that every name of the file (checkpoints share what did not change) sees it.

    Raises:
        IndexError: the file has no such bit.
    """
    size = 8 * file.stat().st_size
    if not -size <= bit < size:
        raise IndexError(f"{file} has {size} bits; there is no bit {bit}")
    with file.open("r+b") as stream:
        stream.seek(bit % size // 8)
        (old,) = stream.read(1)
        stream.seek(-1, os.SEEK_CUR)
        stream.write(bytes([old ^ 1 << bit % 8]))


def cut_file(file: Path, size: int) -> None:
    """Leave the first ``size`` bytes of a file."""
    os.truncate(file, size)


def newest_checkpoint(run: Path) -> Path:
    """The folder of a run's newest checkpoint, intact or not.

    Raises:
        FileNotFoundError: the run has none.
    """
    found = sorted((run / "checkpoints").glob("step-*"), key=lambda path: int(path.name.removeprefix("step-")))
    if not found:
        raise FileNotFoundError(f"{run} has no checkpoint")
    return found[-1]
