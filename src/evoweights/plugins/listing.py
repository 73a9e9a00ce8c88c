"""Every plugin there is, what it offers, and what is wrong with it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evoweights.catalog import Catalog
from evoweights.errors import EvoweightsError, UsageError
from evoweights.plugins.loading import Plugins, activate, new_manager
from evoweights.plugins.sources import (
    Plugin,
    built_in_plugins,
    find_plugin,
    installed_plugins,
    is_built_in,
    is_local,
    provided_twice,
)
from evoweights.plugins.switches import no_plugins, why_disabled


@dataclass(frozen=True)
class PluginStatus:
    """A plugin that was tried.

    ``status`` is active (built in, or named by the configuration that was asked about), ok, disabled or failed; ``reason``
    says why it is one of the last two. ``clashes`` are the components that other plugins offer under the same names, so that
    a run can name only one of them. ``request`` is how the configuration names it, empty if it does not.
    """

    plugin: Plugin
    status: str
    reason: str
    components: tuple[str, ...]
    clashes: tuple[str, ...] = ()
    request: str = ""


def try_plugins(requests: Sequence[str] = (), *, folder: Path | None = None) -> list[PluginStatus]:
    """Every built-in and installed plugin, each loaded by itself, with what it offers or why it does not load.

    One that is disabled is not imported. ``requests`` are what a configuration in ``folder`` names: they stand between the
    built-in plugins and those that are merely installed, files and what cannot be found among them.

    Raises:
        UsageError: the user's file of disabled plugins cannot be read.
    """
    others, named = installed_plugins(), list[PluginStatus]()
    for each in requests:
        before = [other.plugin for other in named if other.status == "active"]
        named.append(_try_named(each, folder or Path(), before))
    taken = {each.plugin.name for each in named if each.plugin.origin and not is_local(each.request)}
    installed = [_try_installed(each, others) for each in others if each.name not in taken]
    return _with_clashes([*map(_try, built_in_plugins()), *named, *installed])


def _try_named(request: str, folder: Path, before: Sequence[Plugin]) -> PluginStatus:
    try:
        if no_plugins():
            raise UsageError(why_disabled(request))
        found = find_plugin(request, folder=folder)
    except UsageError as error:
        return PluginStatus(Plugin(request, "", "", False, _nothing), "failed", str(error), (), request=request)
    tried = _try(found, before)
    return replace(tried, status="active" if tried.status == "ok" else tried.status, request=request)


def _nothing() -> Any:
    raise AssertionError("what could not be found is never loaded")


def _try_installed(plugin: Plugin, others: Sequence[Plugin]) -> PluginStatus:
    namesakes = [each for each in others if each.name == plugin.name]
    if reason := why_disabled(plugin.name):
        return PluginStatus(plugin, "disabled", reason, ())
    if is_built_in(plugin.name):
        reason = f"{plugin.origin} {plugin.version} calls it {plugin.name!r}, as a built-in plugin is called"
        return PluginStatus(plugin, "failed", f"{reason}. Rename its entry point, or uninstall it.", ())
    if len(namesakes) > 1:
        return PluginStatus(plugin, "failed", provided_twice(namesakes), ())
    return _try(plugin)


def _try(plugin: Plugin, others: Sequence[Plugin] = ()) -> PluginStatus:
    """What becomes of a plugin that is loaded after the built-in ones and `others`, to whose kinds it may add."""
    plugins = Plugins(new_manager(), Catalog(), (plugin,))
    try:
        for each in () if plugin.official else (*built_in_plugins(), *others):
            activate(each, plugins)
        before = set(plugins.catalog.entries())
        activate(plugin, plugins)
    except EvoweightsError as error:
        return PluginStatus(plugin, "failed", str(error), ())
    added = (each for each in plugins.catalog.entries() if each not in before)
    components = tuple(f"{each.kind} {each.name}" for each in added)
    return PluginStatus(plugin, "active" if plugin.official else "ok", "", components)


def _with_clashes(tried: Sequence[PluginStatus]) -> list[PluginStatus]:
    providers: dict[str, list[Plugin]] = defaultdict(list)
    for each in tried:
        for component in each.components:
            providers[component].append(each.plugin)
    return [
        replace(
            each,
            clashes=tuple(
                f"{component} is also offered by {other.name} ({other.origin} {other.version})"
                for component in each.components
                for other in providers[component]
                if other is not each.plugin
            ),
        )
        for each in tried
    ]
