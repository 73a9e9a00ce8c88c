"""Loads plugins and calls their hooks.

Every load has a manager and a catalog of its own. A plugin is checked before any of it is registered, and one that
fails ends the load. Hooks that observe a run are guarded: they cannot end it.
"""

import inspect
import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluggy

from evoweights import hookspecs
from evoweights.catalog import Catalog
from evoweights.errors import EvoweightsError, PluginError, RunStopped, UsageError, did_you_mean
from evoweights.plugins.sources import Plugin, built_in_plugins, find_plugins, is_local
from evoweights.plugins.switches import ALL_OFF, no_plugins

API = (1, 0)
"""Version of the plugin interface; a plugin's constant ``EVOWEIGHTS_API`` has the same major and no later minor."""

MAX_ERRORS = 3
"""An observer that has raised as often as this is switched off."""

_LOG = logging.getLogger("evoweights")


class Hooks:
    """Calls the observers of a run, one after the other in the order of their registration.

    What they raise is logged and goes no further; ``EVOWEIGHTS_STRICT_PLUGINS=1`` lets it through.
    """

    def __init__(self, manager: pluggy.PluginManager) -> None:
        order = {name: index for index, (name, _) in enumerate(manager.list_name_plugin())}
        self._implementations = {
            name: sorted(_caller(manager, name).get_hookimpls(), key=lambda each: order[each.plugin_name])
            for name in hook_names(manager)
        }
        self._errors: Counter[str] = Counter()

    def call(self, hook: str, /, **facts: Any) -> None:
        """Call every observer's ``hook`` with those of ``facts`` that it takes; ``Ctrl-C`` and a stop request pass."""
        for each in self._implementations[hook]:
            if self._errors[each.plugin_name] >= MAX_ERRORS:
                continue
            try:
                each.function(*[facts[name] for name in each.argnames])
            except RunStopped:
                raise
            # Anything may be wrong in an observer, and none of it is worth a run of several days. It is reported, not hidden.
            except (Exception, SystemExit) as error:
                if _is_strict():
                    raise
                self._report(each.plugin_name, hook, error)

    def _report(self, plugin: str, hook: str, error: BaseException) -> None:
        self._errors[plugin] += 1
        _LOG.warning("%s: hook %s raised %s; the run goes on.", plugin, hook, _one_line(error))
        _LOG.info("%s: hook %s: where it raised:", plugin, hook, exc_info=error)
        if self._errors[plugin] == MAX_ERRORS:
            _LOG.error("%s: switched off after %d errors; the run goes on without it.", plugin, MAX_ERRORS)


@dataclass(frozen=True)
class Plugins:
    """What one load gave: the hooks' manager, the catalog of components, and the plugins in their order."""

    manager: pluggy.PluginManager
    catalog: Catalog
    loaded: tuple[Plugin, ...]


def load_plugins(requests: Sequence[str] = (), *, folder: Path, given: Sequence[Plugin] = ()) -> Plugins:
    """Load the built-in plugins, the requested ones (files are looked up in ``folder``), and those that are at hand already.

    Raises:
        UsageError: one is not installed, not of the version asked for, or no file.
        PluginError: one fails to load, or two offer a component of the same name.
    """
    if requests and no_plugins():
        raise UsageError(
            f"plugins: {', '.join(requests)} cannot be loaded: {ALL_OFF}. "
            "Unset it, or remove `plugins` from the configuration."
        )
    found = [*built_in_plugins(), *find_plugins(requests, folder=folder), *given]
    plugins = Plugins(new_manager(), Catalog(), tuple(found))
    for plugin in found:
        activate(plugin, plugins)
    return plugins


def new_manager() -> pluggy.PluginManager:
    """A manager that knows every hook and no plugin."""
    manager = pluggy.PluginManager("evoweights")
    manager.add_hookspecs(hookspecs)
    return manager


def hook_names(manager: pluggy.PluginManager) -> list[str]:
    """The names of all hooks."""
    return [name for name in vars(hookspecs) if manager.parse_hookspec_opts(hookspecs, name) is not None]


def register_hooks(manager: pluggy.PluginManager, plugin: object, *, name: str) -> None:
    """Register the hooks of a plugin or an observer; if any of them is wrong, none is registered.

    Raises:
        PluginError: there is no hook, an unknown one, a wrapper, or one with other arguments; or it is loaded twice.
    """
    marked = {each: manager.parse_hookimpl_opts(plugin, each) for each in dir(plugin)}
    hooks = {each: options for each, options in marked.items() if options is not None}
    if not hooks:
        raise PluginError(
            f"plugin {name}: it has no hook. Mark a function with @hookimpl, at least `register(catalog)`."
        )
    for attribute, options in hooks.items():
        hook = options.get("specname") or attribute
        where = f"plugin {name}: hook {hook}"
        if hook not in hook_names(manager):
            raise PluginError(f"{where}: there is no such hook.{did_you_mean(hook, hook_names(manager))}")
        if options.get("wrapper") or options.get("hookwrapper"):
            raise PluginError(f"{where}: wrappers are not supported; hooks only observe.")
        _check_arguments(getattr(plugin, attribute), _caller(manager, hook).spec.argnames, where)
    if manager.has_plugin(name) or manager.is_registered(plugin):
        raise PluginError(f"plugin {name}: it is loaded twice. Name it once.")
    manager.register(plugin, name=name)


def _check_arguments(function: Any, known: Sequence[str], where: str) -> None:
    for each in inspect.signature(function).parameters.values():
        if each.default is not each.empty:
            raise PluginError(
                f"{where}: argument {each.name!r} has a default, so it would never be passed. Remove the default."
            )
        if each.name not in known or each.kind is not each.POSITIONAL_OR_KEYWORD:
            raise PluginError(f"{where}: unknown argument {each.name!r}.{did_you_mean(each.name, known)}")


def _caller(manager: pluggy.PluginManager, name: str) -> Any:
    return getattr(manager.hook, name)


def activate(plugin: Plugin, plugins: Plugins) -> None:
    """Import a plugin, check it, register its hooks, and let it add its components.

    Raises:
        PluginError: it fails, or offers a component whose name is taken.
    """
    with _blamed(plugin, "cannot be imported"):
        module = plugin.load()
    _check_api(plugin, getattr(module, "EVOWEIGHTS_API", None))
    register_hooks(plugins.manager, module, name=plugin.name)
    provider = plugin.name if plugin.official else f"{plugin.name} ({plugin.origin} {plugin.version})"
    for each in plugins.manager.hook.register.get_hookimpls():
        if each.plugin is module:
            with _blamed(plugin, "failed to register its components"):
                each.function(*[plugins.catalog.registrar(provider) for _ in each.argnames])


def _check_api(plugin: Plugin, version: object) -> None:
    if version is None:
        return
    host = ".".join(map(str, API))
    parts = str(version).split(".")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise PluginError(f"plugin {plugin.name}: EVOWEIGHTS_API is {version!r}; expected text such as {host!r}.")
    major, minor = map(int, parts)
    if major != API[0] or minor > API[1]:
        raise PluginError(
            f"plugin {plugin.name} ({plugin.origin} {plugin.version}) is made for version {version} of the plugin "
            f"interface; this evoweights has {host}. Install matching versions of the two."
            + _which(plugin, is_newer=(major, minor) > API)
        )


def _which(plugin: Plugin, *, is_newer: bool) -> str:
    """What to install of a distribution that is made for another interface; a file is its author's own."""
    if is_local(plugin.origin):
        return ""
    newer, older = ("evoweights", plugin.origin) if is_newer else (plugin.origin, "evoweights")
    return f" A newer {newer} or an older {older} would do."


@contextmanager
def _blamed(plugin: Plugin, what: str) -> Iterator[None]:
    """Turn whatever a plugin's own code raises into an error that names the plugin."""
    try:
        yield
    except EvoweightsError:
        raise
    except (Exception, SystemExit) as error:
        if _is_strict():
            raise
        raise PluginError(
            f"plugin {plugin.name} ({plugin.origin} {plugin.version}) {what}: {_one_line(error)}. {_cure(error)}; "
            "EVOWEIGHTS_STRICT_PLUGINS=1 shows the traceback."
        ) from error


def _cure(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"Install what provides the module {error.name}, or remove the plugin"
    return "Repair or remove it"


def _one_line(error: BaseException) -> str:
    return " ".join([type(error).__name__, *str(error).split()])


def _is_strict() -> bool:
    return os.environ.get("EVOWEIGHTS_STRICT_PLUGINS", "") not in ("", "0")
