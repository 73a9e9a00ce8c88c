"""The folder of generated modules and machine code: written once, atomically, safe with several processes."""

import errno
import hashlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from evoweights_kernels.errors import CacheError

VARIABLE = "EVOWEIGHTS_CACHE"
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EPERM)
"""What ails a folder that nothing can be written to; anything else is no matter of the cache."""


def cache_folder() -> Path:
    """Where generated modules lie: `EVOWEIGHTS_CACHE`, else the platform's cache folder."""
    if chosen := os.environ.get(VARIABLE):
        return Path(os.path.expanduser(chosen)) / "kernels"
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "evoweights" / "kernels"


def load_module(source: str, *, target: str, versions: tuple[str, ...]) -> ModuleType:
    """Import generated source from the cache folder; the file is written if it is not there byte for byte.

    `versions` name what compiles it: other versions, other file.

    Raises:
        CacheError: the folder cannot be written.
    """
    name = f"{target}_{_digest(*versions, source)}"
    path = cache_folder() / f"{name}.py"
    content = source.encode()
    if _read(path) != content:
        _write(path, content)
    spec = importlib.util.spec_from_file_location(f"evoweights_generated_{name}", path)
    assert spec is not None and spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    # Numba imports a cached function's module by name.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)  # where it is compiled, and kept beside the file
    except OSError as error:
        reraise(error)
    return module


def reraise(error: OSError) -> NoReturn:
    """Raise again what went wrong while a module was compiled, which keeps machine code beside it.

    Raises:
        CacheError: the folder cannot be written.
        OSError: it was something else.
    """
    if error.errno not in _UNWRITABLE:
        raise error
    raise _unwritable(cache_folder(), error) from error


def load_or_make(make: Callable[[], bytes], *, target: str, suffix: str, versions: tuple[str, ...]) -> bytes:
    """The bytes kept for these versions in the cache folder, made now if they are not there whole.

    `versions` name everything they are made from and by. The file ends with a digest of the rest, which is checked.

    Raises:
        CacheError: the folder cannot be written.
    """
    path = cache_folder() / f"{target}_{_digest(*versions)}{suffix}"
    kept = _read(path)
    if len(kept) > _SEAL and _seal(kept[:-_SEAL]) == kept[-_SEAL:]:
        return kept[:-_SEAL]
    made = make()
    _write(path, made + _seal(made))
    return made


_SEAL = 16
"""Bytes of the digest at the end of a file."""


def _seal(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_SEAL).digest()


def _digest(*texts: str) -> str:
    return hashlib.blake2b("\n".join(texts).encode(), digest_size=12).hexdigest()


def _read(path: Path) -> bytes:
    """The file's content; empty if it cannot be read, and then writing it anew says why, if that fails too."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            # Numba's own cache trusts a file by its time: one fixed time keeps what another process compiled valid.
            os.utime(name, (0, 0))
            os.replace(name, path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _unwritable(path.parent, error) from error


def _unwritable(folder: Path, error: Exception) -> CacheError:
    return CacheError(
        f"generated kernels cannot be written to {folder}: {error};"
        f" set {VARIABLE} to a folder that can be written, or use the backend 'reference'"
    )
