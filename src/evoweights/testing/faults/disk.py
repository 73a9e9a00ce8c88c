"""A disk that dies or fails at a chosen call: it stands in for the ``os`` module of everything that must outlive a crash."""

import errno
import fnmatch
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoweights.errors import UsageError, did_you_mean
from evoweights.storage import durable

CHANGES = ("open", "write", "fsync", "ftruncate", "mkdir", "rmdir", "rename", "replace", "link", "unlink")
"""The calls that can change what is on a disk."""

LOSSES = ("absent", "truncated", "zeroed")
"""What can have become of a file that was not fsynced."""


class PowerCut(BaseException):
    """The process is gone: nothing after this moment reaches the disk.

    No ``Exception``, so that nothing on the way takes it for a failure that can be dealt with.
    """


@dataclass(frozen=True)
class DiskCall:
    """A call to the disk, by what it does and where: the ``number``-th, from 1, of those called ``call`` on a matching path.

    ``call`` is one of ``CHANGES``, or empty for any. ``path`` is a glob of the whole path, in which ``*`` also matches ``/``;
    of a rename, it is that of the old name. With ``after`` the call itself is still carried out.
    """

    call: str = ""
    path: str = "*"
    number: int = 1
    after: bool = False

    def matches(self, call: str, path: str) -> bool:
        """Whether a call is one of those that are counted."""
        return self.call in ("", call) and fnmatch.fnmatchcase(path, self.path)


_STAGED = "*/checkpoints/.staging-*"
IN_TENSORS = DiskCall("write", f"{_STAGED}.safetensors")
"""While the first tensors of a checkpoint are written."""
BEFORE_MANIFEST = DiskCall("open", f"{_STAGED}/MANIFEST.json")
"""When all of a checkpoint but its manifest is written."""
BEFORE_RENAME = DiskCall("rename", _STAGED)
"""When a checkpoint is complete but for its name."""
AFTER_RENAME = DiskCall("rename", _STAGED, after=True)
"""When a checkpoint has its name, and the oldest is not yet dropped."""
MOMENTS = (IN_TENSORS, BEFORE_MANIFEST, BEFORE_RENAME, AFTER_RENAME)
"""The moments of a save, in their order: after the last the new checkpoint is there, after the others the one before."""


class FaultyDisk:
    """Every call that can change the disk, counted; from ``cut_at`` on none is carried out, and each raises :class:`PowerCut`.

    ``fail_at`` raises an OSError with ``error`` at that one call only. Both are a number that counts all calls from 0, or a
    :class:`DiskCall`. ``torn`` carries out half of a write that is cut off or fails. ``calls`` are the calls so far with their
    arguments, ``done`` those that were carried out, by name and path. ``unsynced`` holds the inodes whose content is not on
    the disk (see :func:`lose`); with ``lies`` fsync changes nothing about that. The real fsync is not called, which would
    make tests slow and not stricter.
    """

    def __init__(
        self,
        *,
        cut_at: int | DiskCall | None = None,
        fail_at: int | DiskCall | None = None,
        error: int = errno.ENOSPC,
        torn: bool = False,
        lies: bool = False,
    ) -> None:
        self.cut_at, self.fail_at, self.error, self.torn, self.lies = cut_at, fail_at, error, torn, lies
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.done: list[tuple[str, str]] = []
        self.unsynced: set[int] = set()
        self._paths: dict[int, str] = {}
        self._is_off = False
        self._matched: dict[DiskCall, int] = {}

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self._guarded(name, real) if name in CHANGES else real

    def carried_out(self, moment: DiskCall) -> bool:
        """Whether such a call was made and carried out, as often as the moment's number says."""
        return sum(moment.matches(call, path) for call, path in self.done) >= moment.number

    def _guarded(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            path = self._paths.get(arguments[0], "") if isinstance(arguments[0], int) else os.fspath(arguments[0])
            is_cut, fails = (self._is_now(when, name, path) for when in (self.cut_at, self.fail_at))
            self.calls.append((name, arguments))
            if self._is_off or (is_cut and not _comes_after(self.cut_at)):
                self._tear(name, arguments, not self._is_off)
                self._is_off = True
                raise PowerCut
            if fails and not _comes_after(self.fail_at):
                self._tear(name, arguments, True)
                raise OSError(self.error, os.strerror(self.error), "injected")
            result = self._done(name, real, *arguments, **options)
            self.done.append((name, path))
            if name == "open":
                self._paths[result] = path
            if fails:
                raise OSError(self.error, os.strerror(self.error), "injected")
            if is_cut:
                self._is_off = True
                raise PowerCut
            return result

        return call

    def _is_now(self, when: int | DiskCall | None, name: str, path: str) -> bool:
        if isinstance(when, DiskCall):
            if not when.matches(name, path):
                return False
            self._matched[when] = self._matched.get(when, 0) + 1
            return self._matched[when] == when.number
        return when == len(self.calls)

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


def _comes_after(when: int | DiskCall | None) -> bool:
    return isinstance(when, DiskCall) and when.after


@contextmanager
def inserted(disk: Any) -> Iterator[None]:
    """Let everything that is written durably go to ``disk``, a :class:`FaultyDisk` or another stand-in for ``os``."""
    real, durable.os = durable.os, disk
    try:
        yield
    finally:
        durable.os = real


@contextmanager
def faulty_disk(
    *,
    cut_at: int | DiskCall | None = None,
    fail_at: int | DiskCall | None = None,
    error: int = errno.ENOSPC,
    torn: bool = False,
    lies: bool = False,
) -> Iterator[FaultyDisk]:
    """Checkpoints, the best individual and the records of a run meet a :class:`FaultyDisk`; gives that disk.

    Without arguments nothing goes wrong, calls are counted, and there is no waiting for fsync. The files of a population at
    home on ``disk``, a task's own files and the log are not written through it.
    """
    disk = FaultyDisk(cut_at=cut_at, fail_at=fail_at, error=error, torn=torn, lies=lies)
    with inserted(disk):
        yield disk


def lose(folder: Path, inodes: set[int], how: str) -> list[Path]:
    """What a power cut does to files that were not fsynced: ``absent``, ``truncated`` or ``zeroed``; the files it hit.

    ``inodes`` are those of a disk's ``unsynced``.

    Raises:
        UsageError: ``how`` is none of these.
    """
    if how not in LOSSES:
        raise UsageError(f"lose: there is no way {how!r} to lose a file.{did_you_mean(how, LOSSES)}")
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
