"""Loads plugins: the built-in ones, and of the others only those that a configuration names.

Installed is not active: what is installed is found in the packages' metadata, which imports nothing. Every load has a
manager and a catalog of its own; a plugin that fails ends it, and nothing of it stays.
"""

import hashlib
import importlib.metadata
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from evoweights import hookspecs
from evoweights.catalog import Catalog
from evoweights.errors import EvoweightsError, PluginError, UsageError, did_you_mean

GROUP = "evoweights"
API = (1, 0)
"""Version of the plugin interface; a plugin's constant ``EVOWEIGHTS_API`` must have the same major and no later minor."""

BUILT_IN = ("evoweights_classic", "evoweights_lm", "evoweights_eoe", "evoweights_toy", "evoweights_monitor")
_REQUEST = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?P<pin>[<>=!~].*)?")


@dataclass(frozen=True)
class Plugin:
    """A loaded plugin: its name, the distribution or file it came from, that one's version (a digest of a file)."""

    name: str
    origin: str
    version: str
    official: bool


@dataclass(frozen=True)
class Plugins:
    """What one load gave: the hooks' manager, the catalog of components, and the plugins in their order."""

    manager: pluggy.PluginManager
    catalog: Catalog
    loaded: tuple[Plugin, ...]


@dataclass(frozen=True)
class PluginStatus:
    """One line of ``evoweights plugins``: ``status`` is active (built in), ok or failed, ``reason`` why it failed."""

    name: str
    origin: str
    version: str
    official: bool
    status: str
    reason: str
    components: tuple[str, ...]


def is_strict() -> bool:
    """Whether a plugin's own exception is to be seen as it is: ``EVOWEIGHTS_STRICT_PLUGINS=1``."""
    return os.environ.get("EVOWEIGHTS_STRICT_PLUGINS") == "1"


def is_local(request: str) -> bool:
    """Whether an entry of the configuration's ``plugins`` names a file and not an installed plugin."""
    return request.endswith(".py")


def load_plugins(requests: Sequence[str], *, folder: Path) -> Plugins:
    """Load the built-in plugins and the requested ones, in this order: ``name``, ``name>=0.2`` or a file under ``folder``.

    Raises:
        UsageError: a plugin is not installed, not of the version asked for, or no such file.
        PluginError: one fails to load, or two offer a component of the same name.
    """
    plugins = Plugins(hooks_manager(), Catalog(), ())
    found = [(_built_in(name), _import_built_in(name)) for name in BUILT_IN]
    if requests and os.environ.get("EVOWEIGHTS_NO_PLUGINS") == "1":
        raise UsageError(
            f"plugins: {', '.join(requests)} cannot be loaded, because EVOWEIGHTS_NO_PLUGINS=1 switches off all but the "
            "built-in ones. Unset it, or remove `plugins` from the configuration."
        )
    found += _find(requests, folder)
    for plugin, load in found:
        _activate(plugins, plugin, load)
    return Plugins(plugins.manager, plugins.catalog, tuple(plugin for plugin, _ in found))


def hooks_manager() -> pluggy.PluginManager:
    """A manager that knows every hook and no plugin."""
    manager = pluggy.PluginManager("evoweights")
    manager.add_hookspecs(hookspecs)
    return manager


def installed_plugins() -> list[PluginStatus]:
    """Every built-in and installed plugin, each tried by itself, with what it offers or why it does not load."""
    rows = []
    for name in BUILT_IN:
        rows.append(_try(_built_in(name), _import_built_in(name), status="active"))
    for entry in _installed():
        rows.append(_try(_from_entry(entry), entry.load, status="ok"))
    return rows


def _try(plugin: Plugin, load: Callable[[], Any], *, status: str) -> PluginStatus:
    plugins, reason = Plugins(hooks_manager(), Catalog(), ()), ""
    try:
        _activate(plugins, plugin, load)
    except EvoweightsError as error:
        status, reason = "failed", str(error)
    components = tuple(f"{entry.kind} {entry.name}" for entry in plugins.catalog.entries()) if not reason else ()
    return PluginStatus(plugin.name, plugin.origin, plugin.version, plugin.official, status, reason, components)


def _built_in(name: str) -> Plugin:
    return Plugin(name, "evoweights", _own_version(), official=True)


def _own_version() -> str:
    from evoweights import __version__

    return __version__


def _import_built_in(name: str) -> Callable[[], ModuleType]:
    return lambda: importlib.import_module(name)


def _installed() -> list[importlib.metadata.EntryPoint]:
    """The installed plugins by name, from metadata alone."""
    return sorted(importlib.metadata.entry_points(group=GROUP), key=lambda entry: (entry.name, _origin(entry)))


def _origin(entry: importlib.metadata.EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.value


def _from_entry(entry: importlib.metadata.EntryPoint) -> Plugin:
    return Plugin(entry.name, _origin(entry), entry.dist.version if entry.dist else "unknown", official=False)


def _find(requests: Sequence[str], folder: Path) -> list[tuple[Plugin, Callable[[], Any]]]:
    """Look up what was asked for without importing any of it; everything that is missing is one message."""
    found, missing = [], []
    for index, request in enumerate(requests):
        try:
            found.append(_find_file(request, folder) if is_local(request) else _find_installed(request))
        except UsageError as error:
            missing.append(f"plugins.{index}: {error}")
    if missing:
        raise UsageError("\n".join(missing))
    return found


def _find_file(request: str, folder: Path) -> tuple[Plugin, Callable[[], Any]]:
    file = (folder / request).resolve()
    if not file.is_file():
        near = did_you_mean(file.name, (each.name for each in file.parent.glob("*.py")))
        raise UsageError(f"no file {file}.{near}")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    return Plugin(file.stem, str(file), digest, official=False), lambda: _import_file(file)


def _import_file(file: Path) -> ModuleType:
    """Import a file under a name that no other file has; dataclasses need to find it among the modules."""
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


def _find_installed(request: str) -> tuple[Plugin, Callable[[], Any]]:
    match = _REQUEST.fullmatch(request.strip())
    if not match:
        raise UsageError(f"found {request!r}; expected a name, a name with a version such as name>=0.2, or a .py file.")
    name = match["name"]
    if name in BUILT_IN or f"evoweights_{name}" in BUILT_IN:
        raise UsageError(f"{name} is built in and always loaded. Remove it from the list.")
    entries = _installed()
    mine = [entry for entry in entries if entry.name == name]
    if not mine:
        raise UsageError(
            f"no installed plugin is called {name!r}.{did_you_mean(name, {entry.name for entry in entries})} "
            "Install the package that provides it, or give a file such as ./my_operator.py."
        )
    if len(mine) > 1:
        raise UsageError(f"{name!r} is provided by {' and by '.join(map(_origin, mine))}. Uninstall one of them.")
    plugin = _from_entry(mine[0])
    _check_pin(plugin, match["pin"])
    return plugin, mine[0].load


def _check_pin(plugin: Plugin, pin: str | None) -> None:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        allowed = SpecifierSet(pin or "", prereleases=True)
    except InvalidSpecifier as error:
        raise UsageError(f"{plugin.name}: {pin!r} is no version such as >=0.2 or ==1.0.3.") from error
    if pin and plugin.version not in allowed:
        raise UsageError(
            f"{plugin.name} {plugin.version} is installed, but the configuration asks for {pin}. "
            f"Install {plugin.origin}{pin}."
        )


def _activate(plugins: Plugins, plugin: Plugin, load: Callable[[], Any]) -> None:
    """Import a plugin, check and register its hooks, and let it add its components."""
    with _blamed(plugin, "cannot be imported"):
        module = load()
    _check_api(plugin, getattr(module, "EVOWEIGHTS_API", None))
    register_hooks(plugins.manager, module, name=plugin.name)
    with _blamed(plugin, "failed to register its components"):
        for hook in plugins.manager.hook.register.get_hookimpls():
            if hook.plugin is module:
                hook.function(*[plugins.catalog.registrar(plugin.name)][: len(hook.argnames)])


def register_hooks(manager: pluggy.PluginManager, plugin: object, *, name: str) -> None:
    """Register a plugin's or an observer's hooks; if any of them is wrong, none stays.

    Raises:
        PluginError: no hook at all, an unknown one, a wrapper, or arguments that the hook does not have.
    """
    try:
        manager.register(plugin, name=name)
        manager.check_pending()
        callers = manager.get_hookcallers(plugin) or []
        hooks = [hook for caller in callers for hook in caller.get_hookimpls() if hook.plugin is plugin]
        if wrong := _first_flaw(hooks):
            raise PluginError(f"plugin {name}: {wrong}")
    except (pluggy.PluginValidationError, ValueError, PluginError) as error:
        if manager.has_plugin(name):
            manager.unregister(name=name)
        if isinstance(error, PluginError):
            raise
        known = [each for each in vars(hookspecs) if each in _hook_names()]
        raise PluginError(f"plugin {name}: {_one_line(error)} The hooks are: {', '.join(known)}.") from error
