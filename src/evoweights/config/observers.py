"""Who watches a run: observers put into a checked configuration."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from evoweights.config.run_config import RunConfig
from evoweights.plugins.loading import Hooks, Plugins, new_manager, register_hooks


def with_observers(config: RunConfig, observers: Sequence[Any]) -> RunConfig:
    """The same run, watched by other observers; its text stays, as they cannot change the result, and ``config`` as it is."""
    manager = new_manager()
    for name, plugin in config.plugins.manager.list_name_plugin():
        if not any(plugin is each for each in config.observers):
            manager.register(plugin, name=name)
    plugins = dataclasses.replace(config.plugins, manager=manager)
    hooks = register_observers(plugins, observers)
    return dataclasses.replace(config, observers=tuple(observers), plugins=plugins, hooks=hooks)


def register_observers(plugins: Plugins, observers: Sequence[Any]) -> Hooks:
    """The hooks of a run: those of its plugins, then its observers in their order."""
    for index, each in enumerate(observers):
        register_hooks(plugins.manager, each, name=f"observers.{index} ({each.name})")
    return Hooks(plugins.manager)
