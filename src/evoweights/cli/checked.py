"""What the NAME of ``evoweights plugins check`` stands for: a plugin, or one component of those that are built in."""

import difflib
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from evoweights.errors import UsageError

if TYPE_CHECKING:
    from evoweights.catalog import Entry
    from evoweights.testing.plugin_kit import Found


def components_called(name: str, profile: str) -> "list[Found]":
    """The components that the plugin ``name`` adds, or the built-in one of that name, if any of it can be checked.

    Raises:
        UsageError: nothing is called so, it is a folder, or none of it can be checked.
        PluginError: the plugin cannot be loaded, or a component cannot be made with its defaults.
    """
    from evoweights.plugins.distributions import made_in
    from evoweights.plugins.sources import BUILT_IN, installed_plugins
    from evoweights.testing.plugin_kit import plugin_components

    module, near = f"evoweights_{name}" if f"evoweights_{name}" in BUILT_IN else name, ""
    installed = {each.name for each in installed_plugins()}
    if module not in BUILT_IN and name not in installed and not made_in(name, [Path()]):
        components = _built_in_components()
        if entry := _only_one(name, components):
            added = plugin_components([entry.provider], folder=Path(), profile=profile)
            return _checkable(name, [each for each in added if each.entry == entry])
        _refuse_folder(Path(name), installed)
        near = _near(name, components)
    try:
        found = plugin_components([module], folder=Path(), profile=profile)
    except UsageError as error:
        raise UsageError(f"{str(error).removeprefix('plugins.0: ')}{near}") from error
    return _checkable(name, found)


def _checkable(name: str, found: "list[Found]") -> "list[Found]":
    if not found:
        raise UsageError(f"{name} adds no component, so that there is nothing to check.")
    if not any(each.checks for each in found):
        raise _nothing_to_check(name, [(each.entry, each.unchecked) for each in found])
    return found


def _nothing_to_check(name: str, components: "Iterable[tuple[Entry, str]]") -> UsageError:
    reasons = "\n".join(f"  {entry.kind} {entry.name}: {reason}" for entry, reason in components)
    return UsageError(f"{name} has nothing that can be checked by its name:\n{reasons}")


def _built_in_components() -> "list[Entry]":
    from evoweights.plugins.loading import load_plugins

    return list(load_plugins(folder=Path()).catalog.entries())


def _only_one(name: str, components: "list[Entry]") -> "Entry | None":
    """The component of this name; one that can be checked goes before one that cannot."""
    from evoweights.testing.plugin_kit import KITS, no_checks

    called = [each for each in components if each.name == name]
    checked = [each for each in called if each.kind in KITS]
    if len(called) > 1 and not checked:
        raise _nothing_to_check(name, [(each, no_checks(each)) for each in called])
    called = checked or called
    if len(called) > 1:
        several = " and ".join(map(_told, called))
        raise UsageError(f"{name} is {several}. Give the name of one of these plugins.")
    return called[0] if called else None


def _told(entry: "Entry") -> str:
    return f"a component ({entry.kind}) of {entry.provider}"


def _near(name: str, components: "list[Entry]") -> str:
    """The end of a message: the built-in plugin or component that may be meant."""
    from evoweights.plugins.sources import BUILT_IN
    from evoweights.testing.plugin_kit import KITS

    known = {each.removeprefix("evoweights_"): "a built-in plugin" for each in BUILT_IN}
    known |= {each.name: _told(each) for each in components if each.kind in KITS}
    near = difflib.get_close_matches(name, known, n=1)
    return "".join(f" Did you mean {each}, {known[each]}?" for each in near)


def _refuse_folder(folder: Path, installed: set[str]) -> None:
    """Raises: UsageError for a folder, with the commands that check the plugin it holds."""
    from evoweights.plugins.distributions import install_command, plugins_in

    if not folder.is_dir():
        return
    whole = next((each for each in (folder, folder.parent) if plugins_in(each)), None)
    if whole is None:
        raise UsageError(
            f"{folder} is a folder without a plugin: no pyproject.toml there names one in [project.entry-points.evoweights]. "
            "Give the name of an installed plugin, or a file such as ./my_operator.py."
        )
    names = plugins_in(whole)
    commands = [] if installed.issuperset(names) else [install_command(whole)]
    commands += [f"evoweights plugins check {shlex.quote(each)}" for each in names]
    listed = "\n".join(f"  {each}" for each in commands)
    raise UsageError(f"{folder} is a folder; a plugin is checked by its name, once it is installed:\n{listed}")
