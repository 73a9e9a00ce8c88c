"""Folders that appear whole or not at all."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evoweights.errors import ResourceError, UsageError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def staged_folder(target: Path, *, replaces: str | None = None) -> Iterator[Path]:
    """A fresh sibling of ``target`` to write into; when the block ends it is synced to disk and takes target's name.

    Files of an older ``target`` are never written to, so whoever has them mapped keeps what they mapped. With ``replaces``
    None, a target that someone else finished first is kept. Otherwise an older target gives way, but only if it is empty or
    holds a file of that name.

    Raises:
        UsageError: the target holds something else.
        ResourceError: the disk is full.
    """
    if replaces and target.exists() and not (target.is_dir() and _may_go(target, replaces)):
        raise UsageError(
            f"{target} exists and is not an earlier result (it has no {replaces}). Choose another folder or remove it."
        )
    staging = target.with_name(f".{target.name}.partial-{os.getpid()}")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        yield staging
        for path in [*staging.iterdir(), staging]:
            _sync(path)
        _take_name(staging, target, replace=bool(replaces))
    except OSError as error:
        if error.errno in _FULL:
            raise ResourceError(f"{target}: cannot be written, no space is left ({error}). Free some space.") from error
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _may_go(target: Path, marker: str) -> bool:
    return (target / marker).exists() or not any(target.iterdir())


def _take_name(staging: Path, target: Path, *, replace: bool) -> None:
    old = target.with_name(f".{target.name}.replaced-{os.getpid()}")
    if target.exists():
        if not replace:
            return
        target.rename(old)
    staging.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    _sync(target.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
