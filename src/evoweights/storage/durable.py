"""Durable writes: every file that must outlive a crash or a power cut is written here, and nowhere else.

A file is complete under its name, or absent: it is written under a temporary name, fsynced, renamed, and then
its folder is fsynced. Everything that is replaced or removed is renamed first. What a crash leaves behind has
a name beginning with one of ``TEMPORARY`` (:func:`clean`) or with ``.replaced-`` (:func:`replace_folder`).
"""

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from evoweights.errors import ResourceError
from evoweights.storage.formats import Bytes, to_json

TEMPORARY = (".tmp-", ".staging-", ".trash-")
_PIECE = 1 << 24
_OWN_THREAD = 1 << 20


@dataclass(frozen=True)
class Digest:
    """Size in bytes and SHA-256 (hexadecimal) of what was meant to be written."""

    size: int
    sha256: str


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Turn any OSError within into a ResourceError that says what could not be written, where and why."""
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise ResourceError(
            f"{what} could not be written: {error.strerror or error}{where}. "
            "Free space or mend the disk, then run the same command again; what was saved before is intact."
        ) from error


def create_file(path: Path, chunks: Iterable[Bytes]) -> Digest:
    """Write a new file, for a folder that is itself staged, and fsync it. The digest is of ``chunks``."""
    digest, size = hashlib.sha256(), 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with ThreadPoolExecutor(1) as hasher:
            for piece in _pieces(chunks):
                if len(piece) < _OWN_THREAD:
                    digest.update(piece)
                    _write_all(descriptor, piece)
                else:
                    hashed = hasher.submit(digest.update, piece)
                    _write_all(descriptor, piece)
                    hashed.result()
                size += len(piece)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return Digest(size, digest.hexdigest())


def replace_file(path: Path, chunks: Iterable[Bytes]) -> Digest:
    """Write a file so that at any moment either the old or the new content is there, whole."""
    temporary = path.with_name(f".tmp-{path.name}-{os.getpid()}-{nonce()}")
    try:
        digest = create_file(temporary, chunks)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)
    return digest


def write_text(path: Path, text: str) -> Digest:
    """Write a text file atomically, as UTF-8."""
    return replace_file(path, [text.encode()])


def write_json(path: Path, value: object) -> Digest:
    """Write a JSON file atomically; see :func:`evoweights.storage.formats.to_json` for what ``value`` may be."""
    return write_text(path, to_json(value, indent=1) + "\n")


def check_space(folder: Path, needed: float) -> None:
    """See that ``needed`` bytes are free where ``folder`` is or will be.

    Raises:
        ResourceError: they are not.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise ResourceError(
            f"{folder}: {needed / 1e9:.2f} GB must be free and {free / 1e9:.2f} GB are. "
            "Free space, or choose another output folder."
        )


def append_line(path: Path, text: str) -> None:
    """Add one line to a file in one write; if that fails, the file is as it was."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        size = os.fstat(descriptor).st_size
        try:
            _write_all(descriptor, f"{text}\n".encode())
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make a folder and those above it; they are there after a power cut."""
    if not path.is_dir():
        make_folder(path.parent)
        with suppress(FileExistsError):
            os.mkdir(path)
        sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Bring a file to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk."""
    try:
        sync_file(path)
    except OSError as error:
        # Some network file systems know no fsync of a folder; they keep names in order by themselves.
        if error.errno != errno.EINVAL:
            raise


def remove(path: Path) -> None:
    """Remove a file if it is there."""
    with suppress(FileNotFoundError):
        os.unlink(path)
        sync_folder(path.parent)


def rename(source: Path, target: Path) -> None:
    """Give something another name within its folder; it has that name after a power cut."""
    os.rename(source, target)
    sync_folder(target.parent)


def link(source: Path, target: Path, *, size: int) -> bool:
    """Give a file of ``size`` bytes a second name; False where there is none, or the file system cannot."""
    try:
        if source.stat().st_size != size:
            return False
        os.link(source, target)
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOENT):
            return False
        raise
    return True


def replace_folder(staged: Path, target: Path) -> None:
    """Put a finished folder in the place of another (or of none).

    Between two renames the old one is called ``.replaced-<name>.<nonce>``: see :func:`replaced`.
    """
    for folder, _, _ in os.walk(staged):
        sync_folder(Path(folder))
    old = target.with_name(f".replaced-{target.name}.{nonce()}")
    if target.exists():
        os.rename(target, old)
    try:
        os.rename(staged, target)
    except OSError:
        if old.exists():
            os.rename(old, target)
        raise
    sync_folder(target.parent)


def replaced(target: Path) -> list[Path]:
    """The older versions of a folder that a :func:`replace_folder` left; whole if the new one is missing."""
    return sorted(target.parent.glob(f".replaced-{target.name}.*"))


def identity(folder: Path) -> tuple[int, int] | None:
    """Which folder bears this name now; None while there is none."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def discard(path: Path) -> None:
    """Remove a folder: renamed first, so that it is never half there under its name."""
    trash = path.with_name(f".trash-{path.name.lstrip('.')}.{nonce()}")
    os.rename(path, trash)
    _remove(trash)


def clean(folder: Path) -> None:
    """Remove what dead processes left in a folder; only for its one writer, between its writes."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(TEMPORARY):
            _remove(path)


def nonce() -> str:
    """A few characters that make a temporary name unique."""
    return secrets.token_hex(4)


def _pieces(chunks: Iterable[Bytes]) -> Iterator[memoryview]:
    for chunk in chunks:
        view = memoryview(chunk)
        yield from (view[start : start + _PIECE] for start in range(0, len(view), _PIECE))


def _write_all(descriptor: int, content: Bytes) -> None:
    view = memoryview(content)
    while len(view):
        view = view[os.write(descriptor, view) :]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        for each in path.iterdir():
            _remove(each)
        os.rmdir(path)
    else:
        os.unlink(path)
