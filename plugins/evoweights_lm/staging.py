"""Folders that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evoweights.errors import UsageError
from evoweights.storage.durable import (
    discard,
    disk_errors,
    make_folder,
    nonce,
    replace_folder,
    replaced,
    sync_file,
    sync_folder,
)


@contextmanager
def staged_folder(target: Path, *, replaces: str | None = None) -> Iterator[Path]:
    """A fresh sibling of ``target`` to write files into; when the block ends it is synced and takes target's name.

    Files of an older ``target`` are never written to, so whoever has them mapped keeps what they mapped. With
    ``replaces`` None, a target that another process finished first is kept. Otherwise an older target gives way, but
    only if it is empty or holds a file of that name.

    Raises:
        UsageError: the target holds something else.
        ResourceError: the disk is full or damaged.
    """
    if replaces and target.exists() and not _may_go(target, replaces):
        raise UsageError(
            f"{target} exists and is not an earlier result (it has no {replaces}). Choose another folder or remove it."
        )
    staging = target.with_name(f".staging-{target.name}.{nonce()}")
    with disk_errors(str(target)):
        make_folder(target.parent)
        staging.mkdir()
        try:
            yield staging
            for path in staging.iterdir():
                sync_file(path)
            _take_name(staging, target, replace=replaces is not None)
        finally:
            if staging.exists():
                discard(staging)


def _may_go(target: Path, marker: str) -> bool:
    return target.is_dir() and ((target / marker).exists() or not any(target.iterdir()))


def _take_name(staging: Path, target: Path, *, replace: bool) -> None:
    if replace:
        replace_folder(staging, target)
        for old in replaced(target):
            discard(old)
    elif not target.exists():
        sync_folder(staging)
        os.rename(staging, target)
        sync_folder(target.parent)
