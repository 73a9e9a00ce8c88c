"""The conformance kit for whole plugins: every component that one adds, made with its defaults."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from evoweights.catalog import Entry
from evoweights.config.schema import REQUIRED, settings_of
from evoweights.plugins.loading import load_plugins
from evoweights.plugins.sources import installed_plugins
from evoweights.testing.checking import Check
from evoweights.testing.choice_kits import selection_checks, turn_checks
from evoweights.testing.improver_kit import improver_checks
from evoweights.testing.operator_kit import operator_checks
from evoweights.testing.task_kit import task_checks

KITS: Mapping[str, Callable[..., Iterator[Check]]] = MappingProxyType(
    {
        "task": task_checks,
        "turn": turn_checks,
        "improve": improver_checks,
        "operator": operator_checks,
        "select": selection_checks,
    }
)
"""What makes the checks of a component, by its kind; other kinds have none."""


@dataclass(frozen=True)
class Found:
    """One component of a plugin: its checks, or why there are none."""

    entry: Entry
    checks: tuple[Check, ...]
    unchecked: str = ""


def plugin_components(requests: Sequence[str], *, folder: Path, profile: str = "default") -> list[Found]:
    """The components that these plugins add to the built-in ones, each made with its defaults.

    ``requests`` are as in a configuration: a name, or a file under ``folder``; none means every installed plugin that does
    not come with evoweights.

    Raises:
        UsageError: one is not there.
        PluginError: one cannot be loaded.
    """
    wanted = list(requests) or [each.name for each in installed_plugins()]
    built_in = {(each.kind, each.name) for each in load_plugins((), folder=folder).catalog.entries()}
    entries = load_plugins(wanted, folder=folder).catalog.entries() if wanted else ()
    return [_found(each, profile) for each in entries if (each.kind, each.name) not in built_in]


def _found(entry: Entry, profile: str) -> Found:
    kit = KITS.get(entry.kind)
    if kit is None:
        return Found(entry, (), f"there are no checks for components of kind {entry.kind}")
    missing = [each.name for each in settings_of(entry.component).values() if each.default is REQUIRED]
    if missing:
        return Found(entry, (), f"needs {', '.join(missing)}: check an instance of it in a test file")
    component: Any = entry.component()
    return Found(entry, tuple(kit(component, profile=profile)))
