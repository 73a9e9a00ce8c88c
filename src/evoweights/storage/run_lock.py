"""The lock on a run directory: one process writes; a killed one lets go at once."""

import os
import shlex
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from evoweights.errors import RunInUseError
from evoweights.storage import durable
from evoweights.storage.formats import from_json

LOCK, HOLDER = ".lock", ".lock.json"

# Whoever asks for the status holds the lock for an instant; a run that starts in that instant must not fail.
_PATIENCE = 0.3


@dataclass(frozen=True)
class Holder:
    """The process that writes to a run; ``started`` is when it took the run, in UTC."""

    host: str
    pid: int
    started: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.started}"


class RunLock:
    """A lock that is held, from :meth:`acquire` to :meth:`release` or the end of the process."""

    def __init__(self, folder: Path, lock: FileLock, holder: Holder) -> None:
        self.folder, self._lock, self.holder = folder, lock, holder

    @classmethod
    def acquire(cls, folder: Path) -> "RunLock":
        """Lock a run directory.

        Raises:
            RunInUseError: another process has it; says which.
        """
        lock = FileLock(folder / LOCK)
        try:
            lock.acquire(timeout=_PATIENCE, poll_interval=_PATIENCE / 6)
        except Timeout:
            raise RunInUseError(
                f"The run {folder} is in use by {_holder(folder)}. Wait for it, stop it, or start "
                f"another beside it with --fresh. `evoweights status {shlex.quote(str(folder))}` shows how far it is."
            ) from None
        now = datetime.now(UTC).isoformat(timespec="seconds")
        holder = Holder(socket.gethostname(), os.getpid(), now)
        try:
            # Beside the lock file, not in it: some versions of filelock empty that when they try to lock it.
            durable.write_json(folder / HOLDER, asdict(holder))
        except BaseException:
            lock.release()
            raise
        return cls(folder, lock, holder)

    def release(self) -> None:
        """Let go; a second time does nothing."""
        if self._lock.is_locked:
            try:
                durable.remove(self.folder / HOLDER)
            finally:
                self._lock.release()


def holder_of(folder: Path) -> Holder | None:
    """Who holds the lock of a run directory now; None if nobody does."""
    if not (folder / LOCK).exists():
        return None
    try:
        with FileLock(folder / LOCK, timeout=0):
            return None
    except Timeout:
        return _holder(folder)
    except OSError:
        # A folder that this process may only read: all there is to go by is what the holder wrote.
        return _holder(folder) if (folder / HOLDER).exists() else None


def _holder(folder: Path) -> Holder:
    try:
        known = from_json((folder / HOLDER).read_bytes())
        return Holder(str(known["host"]), int(known["pid"]), str(known["started"]))
    except (OSError, ValueError, TypeError, KeyError):
        return Holder("an unknown host", 0, "an unknown time")
