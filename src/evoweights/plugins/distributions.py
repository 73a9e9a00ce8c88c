"""Folders of distributions that bring plugins, as ``evoweights plugins new`` makes them: what is in them, how to install them."""

import os
import shlex
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from evoweights.errors import UsageError

GROUP = "evoweights"
"""Entry points of this group are plugins."""


def plugins_in(folder: Path) -> tuple[str, ...]:
    """The names of the plugins that the distribution in a folder brings; none if that is no distribution."""
    points = _table(_project(folder), "entry-points", GROUP)
    return tuple(points)


def made_in(name: str, places: Iterable[Path]) -> Path | None:
    """The folder of the distribution that brings the plugin ``name``: one of ``places``, or where `plugins new` puts it there."""
    usual = f"evoweights-{name.replace('_', '-')}"
    folders = (folder for place in places for folder in (place / usual, place))
    return next((each for each in folders if name in plugins_in(each)), None)


def install_command(folder: Path) -> str:
    """The command that installs a distribution so that changes in its folder count at once, with what its tests need."""
    extra = "[test]" if "test" in _table(_project(folder), "optional-dependencies") else ""
    place = str(folder) if folder.is_absolute() or folder == Path() else f"./{folder}"
    return f"pip install --editable {shlex.quote(f'{place}{extra}')}"


def _project(folder: Path) -> dict[str, Any]:
    """The table `project` of the distribution in a folder; empty if that has no pyproject.toml.

    Raises:
        UsageError: the file cannot be read.
    """
    file = folder / "pyproject.toml"
    if not os.path.isfile(file):
        return {}
    try:
        return _table(tomllib.loads(file.read_text(encoding="utf-8")), "project")
    except OSError as error:
        raise UsageError(
            f"{file}: cannot be read ({error.strerror}). Correct its permissions, or remove it."
        ) from error
    except ValueError as error:  # no UTF-8, or no TOML, with its line
        raise UsageError(f"{file}: cannot be read: {error}. Correct it, or remove it.") from error


def _table(values: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The table under these keys, one in the other; empty where there is none."""
    for key in keys:
        found = values.get(key)
        values = found if isinstance(found, dict) else {}
    return values
