"""The folder of generated modules: written once, atomically, safe with several processes."""

import hashlib
import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType

from evoweights_kernels.errors import KernelError

VARIABLE = "EVOWEIGHTS_CACHE"


def cache_folder() -> Path:
    """Where generated modules lie: `EVOWEIGHTS_CACHE`, else the platform's cache folder."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).expanduser() / "kernels"
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
        KernelError: the folder cannot be written.
    """
    digest = hashlib.blake2b("\n".join((*versions, source)).encode(), digest_size=12).hexdigest()
    name = f"{target}_{digest}"
    path = cache_folder() / f"{name}.py"
    try:
        _write_once(path, source)
    except OSError as error:
        raise KernelError(
            f"generated kernels cannot be written to {path.parent}: {error};"
            f" set {VARIABLE} to a folder that can be written, or use the backend 'reference'"
        ) from error
    spec = importlib.util.spec_from_file_location(f"evoweights_generated_{name}", path)
    assert spec is not None and spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    # Numba imports a cached function's module by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _write_once(path: Path, source: str) -> None:
    content = source.encode()
    if path.is_file() and path.read_bytes() == content:
        return
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
