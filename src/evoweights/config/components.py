"""Components of a configuration and their parts: completes what is given for them, and makes them.

A part, a setting that holds another component (see :func:`evoweights.catalog.part`), is a mapping as any component is, or its
name alone; completed it is always a mapping with a name.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from evoweights.catalog import Catalog, Entry
from evoweights.config.defaults import refuse_reserved
from evoweights.config.interpolation import Interpolations, has_interpolation, leaves
from evoweights.config.run_config import BY_NAME, SEVERAL, SINGLE
from evoweights.config.schema import Setting, convert, fill, settings_of, show
from evoweights.config.source import Source
from evoweights.errors import EvoweightsError, PluginError, UsageError
from evoweights.plugins.sources import installed_plugins


def spell_out(values: Mapping[str, Any], catalog: Catalog, *, name_defaults: bool = False) -> None:
    """Make mappings of all components that are given by name alone, so that settings can be put beside the name.

    ``name_defaults`` True also gives every mapping without a name that of the default component.
    """
    for key, kind in {**SINGLE, **SEVERAL}.items():
        given = values.get(key)
        if key in BY_NAME and isinstance(given, list):
            given[:] = [{"name": each} if isinstance(each, str) else each for each in given]
        for each in given if isinstance(given, list) else [given]:
            _spell_out_parts(each, catalog, kind, default="", name_defaults=name_defaults)


def _spell_out_parts(given: Any, catalog: Catalog, kind: str, *, default: str, name_defaults: bool) -> None:
    if not isinstance(given, dict):
        return
    if name_defaults and default:
        given.setdefault("name", default)
    name = given.get("name", default)
    for entry in (each for each in catalog.entries(kind) if each.name == name):
        for key, each in _parts_of(settings_of(entry.component)).items():
            if isinstance(given.get(key), str):
                given[key] = {"name": given[key]}
            _spell_out_parts(given.get(key), catalog, each.kind, default=each.default.name, name_defaults=name_defaults)


def _parts_of(settings: Mapping[str, Setting]) -> dict[str, Setting]:
    return {name: each for name, each in settings.items() if each.kind}


def fill_component(
    given: Any, source: Source, catalog: Catalog, *, kind: str, path: str, phase: Mapping[str, Setting]
) -> dict[str, Any]:
    """One component's mapping, complete; empty after a complaint that leaves nothing to check.

    ``phase`` holds settings that its entry takes besides the component's own.
    """
    name = given.get("name") if isinstance(given, dict) else None
    if not isinstance(name, str) or has_interpolation(name):
        found = "missing" if given is None else f"found {show(given)} without a name in plain text"
        source.complain(path, f"{found}; expected a mapping such as {{name: ...}}. {_known(catalog, kind)}")
        return {}
    entry = _find(source, catalog, kind, name, path)
    if entry is None:
        return {}
    settings = settings_of(entry.component)
    refuse_reserved(settings, phase, f"{entry.provider}: {kind} {name}")
    return _fill_settings({**phase, **settings}, given, source, catalog, name=name, path=path, what=f"{kind} {name}")


def _fill_part(each: Setting, given: Any, source: Source, catalog: Catalog, *, path: str) -> dict[str, Any]:
    """The mapping of a component's part, complete; what is given is that of the default component unless it has a name."""
    given = {"name": given} if isinstance(given, str) else given
    name = given.get("name", each.default.name) if isinstance(given, dict) else None
    if not isinstance(name, str) or has_interpolation(name):
        found = f"found {show(given)}" + (" without a name in plain text" if isinstance(given, dict) else "")
        expected = f"expected {each.allowed()}: its name, or a mapping such as {{name: ...}}"
        source.complain(path, f"{found}; {expected}. {_known(catalog, each.kind)}")
        return {}
    entry = _find(source, catalog, each.kind, name, path)
    if entry is None:
        return {}
    settings = settings_of(entry.component)
    if name == each.default.name:
        settings = {
            key: dataclasses.replace(setting, default=getattr(each.default, key)) for key, setting in settings.items()
        }
    what = f"{each.kind} {name}" + ("" if "name" in given else " (the default, as no name is given)")
    return _fill_settings(settings, given, source, catalog, name=name, path=path, what=what)


def _fill_settings(
    settings: Mapping[str, Setting],
    given: Mapping[str, Any],
    source: Source,
    catalog: Catalog,
    *,
    name: str,
    path: str,
    what: str,
) -> dict[str, Any]:
    own = {key: value for key, value in given.items() if key != "name"}
    filled = fill(settings, own, source, path=path, what=what)
    for key, each in _parts_of(settings).items():
        filled[key] = _fill_part(each, filled[key], source, catalog, path=f"{path}.{key}")
    return {"name": name, **filled}


def _find(source: Source, catalog: Catalog, kind: str, name: str, path: str) -> Entry | None:
    """The component of this name; None, with a complaint, if there is none."""
    try:
        return catalog.find(kind, name, where=f"{path}.name")
    except UsageError as error:
        unnamed = any(each.name == name for each in installed_plugins())
        hint = f" The installed plugin {name} has to be named: plugins: [{name}]." if unnamed else ""
        source.problems.append(f"{source.origin(f'{path}.name')}: {error}{hint}")


def _known(catalog: Catalog, kind: str) -> str:
    known = ", ".join(each.name for each in catalog.entries(kind))
    return f"Known {kind} components: {known}." if known else f"There is no {kind} at all; name a plugin that adds one."


def make_component(
    kind: str, filled: Mapping[str, Any], source: Source, catalog: Catalog, resolver: Interpolations, *, path: str
) -> Any:
    """The component of a complete mapping, with its parts; None, with a complaint, if that is not possible."""
    if not filled:
        return None
    component = catalog.find(kind, filled["name"], where=path).component
    return make_instance(component, filled, source, catalog, resolver, path=path)


def make_instance(
    cls: type, filled: Mapping[str, Any], source: Source, catalog: Catalog, resolver: Interpolations, *, path: str
) -> Any:
    """An instance of ``cls`` from those of ``filled`` that are its settings; None, with a complaint, if impossible."""
    settings = settings_of(cls)
    parts = _parts_of(settings)
    single = {key: each for key, each in settings.items() if key not in parts}
    made = convert(single, filled, source, resolver, path=path)
    for key, each in parts.items():
        found = make_component(each.kind, filled[key], source, catalog, resolver, path=f"{path}.{key}")
        made |= {} if found is None else {key: found}
    if made.keys() != settings.keys():
        return None
    # What it says may repeat what came from an interpolation.
    secret = any(has_interpolation(value) for key in settings for _, value in leaves(filled[key]))
    try:
        return cls(**made)
    except (UsageError, ValueError) as error:
        hidden = "these settings do not go together (values from interpolations are not shown)."
        source.complain(path, hidden if secret else str(error))
    except EvoweightsError:
        raise
    # Foreign code may raise anything.
    except (Exception, SystemExit) as error:
        what = "" if secret else f": {error}"
        raise PluginError(
            f"{source.origin(path)}: {path}: {cls.__name__} cannot be made, its code raised {type(error).__name__}{what}. Repair "
            "or replace its plugin; settings that a component does not allow must be a ValueError."
        ) from error
