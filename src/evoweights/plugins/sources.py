"""Where plugins are found: among the built-in modules, in the metadata of installed packages, and in files.

Nothing is imported here. Installed is not active: an installed plugin is found only when a configuration names it.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from evoweights.errors import PluginError, UsageError, did_you_mean
from evoweights.plugins.distributions import GROUP, install_command, made_in
from evoweights.plugins.switches import named_by_variables, why_disabled
from evoweights.version import __version__

NONE_INSTALLED = "No plugin is installed here besides the built-in ones."
"""The end of a message about a name, where there is no other to be meant."""

BUILT_IN = (
    "evoweights_classic",
    "evoweights_lm",
    "evoweights_eoe",
    "evoweights_es",
    "evoweights_est",
    "evoweights_evotorch",
    "evoweights_toy",
    "evoweights_monitor",
)
_REQUEST = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?P<pin>[<>=!~].*)?")


@dataclass(frozen=True)
class Plugin:
    """A plugin that was found: the distribution or file it is from, and that one's version (for a file a digest).

    ``load`` imports it.
    """

    name: str
    origin: str
    version: str
    official: bool
    load: Callable[[], Any]


def is_local(request: str) -> bool:
    """Whether an entry of the configuration's ``plugins`` names a file and not an installed plugin."""
    return request.endswith(".py")


def built_in_plugins() -> list[Plugin]:
    """The plugins that evoweights comes with, in their order."""

    def loader(module: str) -> Callable[[], ModuleType]:
        return lambda: importlib.import_module(module)

    return [Plugin(module, "evoweights", __version__, True, loader(module)) for module in BUILT_IN]


def installed_plugins() -> list[Plugin]:
    """The plugins of other distributions, by name."""
    found = [_installed(each) for each in importlib.metadata.entry_points(group=GROUP)]
    return sorted(found, key=lambda plugin: (plugin.name, plugin.origin))


def _installed(entry: importlib.metadata.EntryPoint) -> Plugin:
    # What is left of a distribution that was removed by hand may have entry points and neither name nor version.
    metadata = entry.dist.metadata if entry.dist else {}
    told = {key: metadata[key] for key in metadata}
    origin, version = told.get("Name", entry.value), told.get("Version", "unknown")

    def load() -> Any:
        for each in (entry.dist and entry.dist.requires) or ():
            _check_requirement(each, f"plugin {entry.name} ({origin} {version})")
        try:
            return entry.load()
        except ModuleNotFoundError as error:
            if not (error.name and f"{entry.module}.".startswith(f"{error.name}.")):
                raise
            raise PluginError(
                f"plugin {entry.name} ({origin} {version}): its entry point names {entry.value}, but there is no module "
                f"{error.name}. Install {origin} again; if it is yours, look at its pyproject.toml."
            ) from error

    return Plugin(entry.name, origin, version, False, load)


def _check_requirement(text: str, who: str) -> None:
    """Raises: PluginError if it asks for another evoweights than this; whether the rest is there, an import will tell."""
    try:
        needed = Requirement(text)
    except InvalidRequirement:
        return  # pip would not have installed it; the import will tell
    if canonicalize_name(needed.name) != "evoweights" or (needed.marker and not needed.marker.evaluate({"extra": ""})):
        return
    if not needed.specifier.contains(__version__, prereleases=True):
        raise PluginError(
            f"{who} needs evoweights{needed.specifier}, and this is evoweights {__version__}. Install matching versions of "
            "the two."
        )


def find_plugins(requests: Sequence[str], *, folder: Path) -> list[Plugin]:
    """The plugins a configuration asks for, in its order: ``name``, ``name>=0.2``, or a file under ``folder``.

    Raises:
        UsageError: not installed, not of the version asked for, no such file; one message names all that are missing.
    """
    found, missing = [], []
    for index, request in enumerate(requests):
        try:
            found.append(find_plugin(request, folder=folder))
        except UsageError as error:
            missing.append(f"plugins.{index}: {error}")
    if missing:
        raise UsageError("\n".join(missing))
    return found


def find_plugin(request: str, *, folder: Path) -> Plugin:
    """The plugin that one entry of ``plugins`` asks for.

    Raises:
        UsageError: not installed, disabled, not of the version asked for, no such file.
    """
    return _find_file(request, folder) if is_local(request) else _find_installed(request, folder)


def _find_installed(request: str, folder: Path) -> Plugin:
    match = _REQUEST.fullmatch(request.strip())
    if not match:
        raise UsageError(f"found {request!r}; expected a name, a name with a version such as name>=0.2, or a .py file.")
    name, plugins = match["name"], installed_plugins()
    if is_built_in(name):
        raise UsageError(f"{name} is built in and always loaded. Remove it from the list.")
    mine = [plugin for plugin in plugins if plugin.name == name]
    if not mine and (made := made_in(name, (Path(), folder))):
        raise UsageError(
            f"{name} is made, but not installed: {made.absolute()}. Install it with: {install_command(made)}"
        )
    if not mine:
        near = did_you_mean(name, {plugin.name for plugin in plugins}, none=NONE_INSTALLED)
        raise UsageError(
            f"no installed plugin is called {name!r}.{near} Install the package that provides it, or give a file such as "
            "./my_operator.py."
        )
    if len(mine) > 1:
        raise UsageError(provided_twice(mine))
    if reason := why_disabled(name):
        raise UsageError(f"{name} is installed, but disabled: {reason}")
    _check_pin(mine[0], match["pin"])
    return mine[0]


def is_built_in(name: str) -> bool:
    """Whether a plugin's name, or that with ``evoweights_`` before it, is one of those that evoweights comes with."""
    return name in BUILT_IN or f"evoweights_{name}" in BUILT_IN


def names_in_vain() -> list[str]:
    """What the variables that switch plugins off name in vain, a line each: no installed plugin is called so, or it is
    built in."""
    named = named_by_variables()
    known = {each.name for each in installed_plugins()} if named else set()
    told = []
    for variable, name in named:
        if is_built_in(name):
            told.append(f"{variable}: {name} is built in and always loaded. Take it out there.")
        elif name not in known:
            near = did_you_mean(name, known, none=NONE_INSTALLED)
            told.append(f"{variable}: no installed plugin is called {name!r}.{near} Take it out there.")
    return told


def provided_twice(plugins: Sequence[Plugin]) -> str:
    """The message for several plugins of one name."""
    origins = " and by ".join(f"{each.origin} {each.version}" for each in plugins)
    return f"{plugins[0].name!r} is provided by {origins}. Uninstall one of them."


def _check_pin(plugin: Plugin, pin: str | None) -> None:
    try:
        allowed = SpecifierSet(pin or "", prereleases=True)
    except InvalidSpecifier as error:
        raise UsageError(f"{plugin.name}: {pin!r} is no version such as >=0.2 or ==1.0.3.") from error
    if pin and plugin.version not in allowed:
        raise UsageError(
            f"{plugin.name} {plugin.version} is installed, but the configuration asks for {pin}. "
            f"Install {plugin.origin}{pin}, or change the configuration."
        )


def _find_file(request: str, folder: Path) -> Plugin:
    file = (folder / request).resolve()
    if os.path.isdir(file):
        raise UsageError(f"{file} is a folder; expected a file of Python code.")
    if not os.path.isfile(file):
        others = [each.name for each in file.parent.glob("*.py") if each.is_file()]
        near, here = did_you_mean(file.name, others), os.path.abspath(request)
        if os.path.isfile(here):
            near = f" A path is taken from the configuration's folder; the file that lies here is {here}."
        raise UsageError(f"no file {file}.{near}")
    try:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise UsageError(
            f"{file}: cannot be read ({error.strerror}). Correct its permissions, or remove it."
        ) from error
    return Plugin(file.stem, str(file), digest, False, lambda: _import_file(file))


def _import_file(file: Path) -> ModuleType:
    """Import a file under a name that no other file has, listed among the modules because dataclasses look there."""
    name = f"evoweights_local_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
