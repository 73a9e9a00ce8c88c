"""Reads configurations: YAML and overrides in, a checked :class:`RunConfig` with component instances out.

Everything that is wrong is reported at once, each with its place, before torch is imported. The text that a run keeps
has every default written out and every interpolation as it was, so that it can be read, compared and used again.
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from evoweights.catalog import Catalog
from evoweights.config.components import fill_component, make_component, make_instance, spell_out
from evoweights.config.interpolation import Interpolations, has_interpolation
from evoweights.config.observers import register_observers
from evoweights.config.run_config import (
    DEFAULTS,
    GROUPS,
    ORDER,
    PATTERNS,
    SEVERAL,
    SINGLE,
    Phase,
    RunConfig,
    RunSettings,
    Scheduled,
)
from evoweights.config.schema import HIDDEN, Setting, convert, fill, settings_of, show
from evoweights.config.source import Source, parse
from evoweights.errors import UsageError, did_you_mean
from evoweights.plugins.loading import Plugins, load_plugins
from evoweights.plugins.sources import Plugin, is_local

_EARLY = ("plugins", "preset")
"""Keys that decide what else there is."""


def load_config(
    path: Path | str, overrides: Sequence[str] = (), *, profile: str | None = None, allow_env: Sequence[str] = ()
) -> RunConfig:
    """Read a configuration file, apply ``key=value`` overrides, and check everything.

    The run's name is the file's by default. ``profile`` names a list of overrides in the file, under ``profiles``, that are
    applied before those given. ``allow_env`` names environment variables that ``${oc.env:NAME}`` may read besides the
    harmless ones.

    Raises:
        UsageError: anything in it is wrong; the message has all of it.
        PluginError: a plugin that it names does not load.
    """
    path = Path(path)
    source = _read(path)
    source.values.setdefault("name", path.stem)
    overrides = [*_take_profile(source, profile), *overrides]
    return _assemble(source, overrides, folder=path.parent, allow_env=allow_env)


def plugins_of(path: Path) -> list[str]:
    """What a configuration file names under ``plugins``, as it is written there; nothing is loaded.

    Raises:
        UsageError: it cannot be read, or ``plugins`` is no list of names.
    """
    return _requests(_read(path))


def _read(path: Path) -> Source:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        files = {str(each) for folder in (path.parent, Path("configs")) for each in folder.glob("*.y*ml")}
        raise UsageError(f"{path}: there is no such file.{did_you_mean(str(path), files)}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as a text file: {error}.") from error
    return parse(text, name=str(path))


def _take_profile(source: Source, name: str | None) -> list[str]:
    """The overrides of a profile, none if it is None; ``profiles`` is taken out, as it is no part of a run."""
    profiles = source.values.pop("profiles", {})
    lists = list(profiles.values()) if isinstance(profiles, dict) else [None]
    if not all(isinstance(each, list) and all(isinstance(text, str) for text in each) for each in lists):
        source.complain("profiles", "expected a mapping of names to lists of settings such as `- task.batch=2`.")
        source.raise_problems()
    if name is not None and name not in profiles:
        none = "It has no profiles; they stand under `profiles`."
        raise UsageError(f"--profile: {source.name} has no profile {name!r}.{did_you_mean(name, profiles, none=none)}")
    return [] if name is None else profiles[name]


def config_from_text(
    text: str,
    overrides: Sequence[str] = (),
    *,
    where: str,
    folder: Path,
    allow_env: Sequence[str] = (),
    given: Sequence[Plugin] = (),
) -> RunConfig:
    """Check a configuration that is at hand as text, as :func:`load_config` does a file.

    ``where`` is what messages call it; local plugins are looked up in ``folder``. ``given`` are plugins that are at hand and
    loaded besides those that the text names.
    """
    return _assemble(parse(text, name=where), overrides, folder=folder, allow_env=allow_env, given=given)


def _assemble(
    source: Source,
    overrides: Sequence[str],
    *,
    folder: Path,
    allow_env: Sequence[str],
    given: Sequence[Plugin] = (),
) -> RunConfig:
    """Plugins first, because they bring components and presets; then overrides above, preset and defaults below."""
    for each in filter(_is_early, overrides):
        source.override(each)
    plugins = _load_plugins(source, folder, given)
    spell_out(source.values, plugins.catalog)
    _put_preset_under(source, plugins.catalog)
    source.put_under(DEFAULTS, origin="default")
    spell_out(source.values, plugins.catalog)
    for each in overrides:
        if not _is_early(each):
            source.override(each)
            spell_out(source.values, plugins.catalog)
    filled = _fill(source, plugins.catalog)
    values = _convert(source, filled, plugins.catalog, Interpolations(filled, allow_env=allow_env))
    source.raise_problems()
    hooks = register_observers(plugins, values["observers"])
    text = OmegaConf.to_yaml(OmegaConf.create({key: filled[key] for key in ORDER if key != "output"}))
    values |= {"output": Path(values["output"]).expanduser(), "plugins": plugins, "hooks": hooks}
    return RunConfig(**values, text=text, overrides=tuple(overrides))


def _is_early(override: str) -> bool:
    return override.split("=")[0].split(".")[0] in _EARLY


def _load_plugins(source: Source, folder: Path, given: Sequence[Plugin]) -> Plugins:
    """What ``plugins`` names; files in it become absolute, so that a run can be continued from anywhere."""
    requests = _requests(source)
    requests[:] = [str((folder / each).resolve()) if is_local(each) else each for each in requests]
    try:
        return load_plugins(requests, folder=folder, given=given)
    except UsageError as error:
        source.problems += [f"{source.origin(line.split(':')[0])}: {line}" for line in str(error).splitlines()]
        source.raise_problems()
        raise


def _requests(source: Source) -> list[str]:
    """The list that ``plugins`` is, empty if it is not given."""
    requests = source.values.setdefault("plugins", [])
    if not isinstance(requests, list) or not all(isinstance(each, str) for each in requests):
        source.complain(
            "plugins", "expected a list of names such as my-plugin>=0.2 and files such as ./my_operator.py."
        )
        source.raise_problems()
    return requests


def _put_preset_under(source: Source, catalog: Catalog) -> None:
    name = source.as_text("preset", source.values.get("preset"))
    if isinstance(name, str):
        try:
            values = copy.deepcopy(dict(catalog.find_preset(name).values))
        except UsageError as error:
            source.problems.append(f"{source.origin('preset')}: {error}")
            return
        spell_out(values, catalog, name_defaults=True)
        source.put_under(values, origin=f"preset {name}")


def _fill(source: Source, catalog: Catalog) -> dict[str, Any]:
    """The whole configuration as plain unresolved values with every default."""
    run, given = settings_of(RunSettings), source.values
    for key in given:
        if key not in ORDER:
            source.complain(key, f"unknown key.{did_you_mean(key, ORDER)}")
    filled = fill(run, {key: given[key] for key in run if key in given}, source, path="", what="a configuration")
    for key, kind in SINGLE.items():
        filled[key] = fill_component(given.get(key), source, catalog, kind=kind, path=key, phase={})
    for key, kind in SEVERAL.items():
        entries = given[key]
        if not isinstance(entries, list):
            source.complain(
                key, f"found {show(entries)}; expected a list, with one `- {{name: ...}}` for each component."
            )
            entries = []
        filled[key] = [
            fill_component(each, source, catalog, kind=kind, path=f"{key}.{i}", phase=_phase_of(key))
            for i, each in enumerate(entries)
        ]
    for key, group in GROUPS.items():
        entry = given.get(key, {})
        if not isinstance(entry, dict):
            source.complain(key, f"found {show(entry)}; expected a mapping of {', '.join(settings_of(group))}.")
            entry = {}
        filled[key] = fill(settings_of(group), entry, source, path=key, what=key)
    return filled


def _phase_of(section: str) -> Mapping[str, Setting]:
    """The settings that entries of ``improve`` and ``vary`` take besides the component's own."""
    return settings_of(Phase) if section in ("improve", "vary") else {}


def _convert(source: Source, filled: dict[str, Any], catalog: Catalog, resolver: Interpolations) -> dict[str, Any]:
    """The fields of a :class:`RunConfig` that the configuration decides."""

    def instance(cls: type, given: dict[str, Any], path: str) -> Any:
        return make_instance(cls, given, source, catalog, resolver, path=path)

    def component(kind: str, given: dict[str, Any], path: str) -> Any:
        return make_component(kind, given, source, catalog, resolver, path=path)

    values = convert(settings_of(RunSettings), filled, source, resolver, path="")
    for key, (pattern, words) in PATTERNS.items():
        if key in values and not pattern.fullmatch(values[key]):
            shown = HIDDEN if has_interpolation(filled[key]) else show(values[key])
            source.complain(key, f"found {shown}; expected {words}.")
    values |= {key: component(kind, filled[key], key) for key, kind in SINGLE.items()}
    for key, kind in SEVERAL.items():
        made = [(given, component(kind, given, f"{key}.{i}")) for i, given in enumerate(filled[key])]
        if _phase_of(key):
            phases = [instance(Phase, given, f"{key}.{i}") for i, given in enumerate(filled[key])]
            values[key] = tuple(
                Scheduled(each, f"{i}-{given.get('name')}", phase)
                for i, ((given, each), phase) in enumerate(zip(made, phases, strict=True))
            )
        else:
            values[key] = tuple(each for _, each in made)
    return values | {key: instance(group, filled[key], key) for key, group in GROUPS.items()}
