"""Every plugin there is, what it offers, and what is wrong with it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evoweights.catalog import Catalog
from evoweights.errors import EvoweightsError
from evoweights.plugins.loading import Plugins, activate, new_manager
from evoweights.plugins.sources import Plugin, built_in_plugins, installed_plugins, is_built_in, provided_twice
from evoweights.plugins.switches import no_plugins, why_disabled


@dataclass(frozen=True)
class PluginStatus:
    """A plugin that was tried.

    ``status`` is active (built in), ok, disabled or failed; ``reason`` says why it is one of the last two. ``clashes`` are
    the components that other installed plugins offer under the same names, so that a run can name only one of them.
    """

    plugin: Plugin
    status: str
    reason: str
    components: tuple[str, ...]
    clashes: tuple[str, ...] = ()


def try_plugins() -> list[PluginStatus]:
    """Every built-in and installed plugin, each loaded by itself, with what it offers or why it does not load.

    One that is disabled is not imported.

    Raises:
        UsageError: the user's file of disabled plugins cannot be read.
    """
    others = [] if no_plugins() else installed_plugins()
    tried = [_try(plugin) for plugin in built_in_plugins()]
    for plugin in others:
        namesakes = [each for each in others if each.name == plugin.name]
        if reason := why_disabled(plugin.name):
            tried.append(PluginStatus(plugin, "disabled", reason, ()))
        elif is_built_in(plugin.name):
            reason = f"{plugin.origin} {plugin.version} calls it {plugin.name!r}, as a built-in plugin is called"
            tried.append(PluginStatus(plugin, "failed", f"{reason}. Rename its entry point, or uninstall it.", ()))
        elif len(namesakes) > 1:
            tried.append(PluginStatus(plugin, "failed", provided_twice(namesakes), ()))
        else:
            tried.append(_try(plugin))
    return _with_clashes(tried)


def _try(plugin: Plugin) -> PluginStatus:
    plugins = Plugins(new_manager(), Catalog(), (plugin,))
    try:
        for each in () if plugin.official else built_in_plugins():  # to whose kinds it may add
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
