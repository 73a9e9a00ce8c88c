"""Which installed plugins may not be loaded: by environment variables, or by a file of the user's.

The file is ``evoweights/plugins.json`` in the user's configuration folder: ``$XDG_CONFIG_HOME``, else ``%APPDATA%`` on Windows,
else ``~/.config``. These switches are about installed plugins; built-in ones are always loaded, and a ``.py`` file is loaded
when a configuration names it.
"""

import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from evoweights.errors import UsageError

NONE, ONLY, DISABLED = "EVOWEIGHTS_NO_PLUGINS", "EVOWEIGHTS_LOAD_PLUGINS", "EVOWEIGHTS_DISABLED_PLUGINS"
ALL_OFF = f"{NONE}=1 switches off all but the built-in ones"


def no_plugins() -> bool:
    """Whether all plugins but the built-in ones are switched off, files too; 0 and nothing mean no."""
    return os.environ.get(NONE, "") not in ("", "0")


def settings_file() -> Path:
    """Where the user's own switches are kept; it need not exist."""
    roaming = os.environ.get("APPDATA") if os.name == "nt" else None
    base = os.environ.get("XDG_CONFIG_HOME") or roaming or Path.home() / ".config"
    return Path(base) / "evoweights" / "plugins.json"


def why_disabled(name: str) -> str:
    """Why an installed plugin may not be loaded, and what to do to have it; empty if it may be.

    Raises:
        UsageError: the user's file cannot be read.
    """
    if no_plugins():
        return f"{ALL_OFF}. Unset it."
    if ONLY in os.environ and name not in _names(ONLY):
        return f"{ONLY} lists {', '.join(_names(ONLY)) or 'none'}. Add it there, or unset the variable."
    if name in _names(DISABLED):
        return f"{DISABLED} names it. Take it out there."
    if name in disabled_names():
        return f"{settings_file()} names it. `evoweights plugins enable {name}` takes it out."
    return ""


def named_by_variables() -> list[tuple[str, str]]:
    """Every variable that names plugins with a name it has, be it installed or not."""
    return [(variable, name) for variable in (ONLY, DISABLED) for name in _names(variable)]


def disabled_names() -> tuple[str, ...]:
    """The plugins that the user's file switches off, in order.

    Raises:
        UsageError: the file cannot be read, or holds something else.
    """
    file = settings_file()
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: cannot be read: {error}. Repair or remove it.") from error
    names = found.get("disabled") if isinstance(found, dict) else None
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise UsageError(f'{file}: expected {{"disabled": ["a plugin", ...]}}, found {found!r}. Repair or remove it.')
    return tuple(sorted(set(names)))


def disable(name: str) -> bool:
    """Switch an installed plugin off in the user's file; False if it was already.

    Raises:
        UsageError: the file cannot be read or written.
    """
    names = disabled_names()
    if name in names:
        return False
    _write([*names, name])
    return True


def enable(name: str) -> bool:
    """Take a plugin out of the user's file; False if it was not there.

    Raises:
        UsageError: the file cannot be read or written.
    """
    names = disabled_names()
    if name not in names:
        return False
    _write(each for each in names if each != name)
    return True


def _names(variable: str) -> list[str]:
    return [each.strip() for each in os.environ.get(variable, "").split(",") if each.strip()]


def _write(names: Iterable[str]) -> None:
    """Replace the file as a whole, so that whoever reads it meanwhile sees one or the other."""
    file = settings_file()
    staged: str | None = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, staged = tempfile.mkstemp(dir=file.parent, prefix=file.name)
        with open(handle, "w", encoding="utf-8") as stream:
            stream.write(json.dumps({"disabled": sorted(names)}, indent=2) + "\n")
        os.replace(staged, file)
    except OSError as error:
        if staged is not None:
            Path(staged).unlink(missing_ok=True)
        raise UsageError(f"{file}: cannot be written: {error}. {DISABLED}=NAME,... does the same.") from error
