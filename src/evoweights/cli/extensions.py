"""The command that lists components."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evoweights.catalog import KINDS
from evoweights.cli.options import Json
from evoweights.cli.output import say, say_json, say_rows
from evoweights.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from evoweights.catalog import Entry
    from evoweights.config.schema import Setting


def operators(
    kind: Annotated[str | None, typer.Option(help=f"Only one kind: {', '.join(KINDS)}, or one of a plugin.")] = None,
    plugin: Annotated[
        list[str] | None,
        typer.Option(help="Also list what this plugin (a name or a .py file) offers; can be repeated."),
    ] = None,
    json: Json = False,
) -> None:
    """List all components with their settings."""
    from evoweights.plugins.loading import load_plugins

    catalog = load_plugins(plugin or [], folder=Path()).catalog
    if kind is not None and kind not in catalog.kinds:
        raise UsageError(f"--kind: found {kind!r}.{did_you_mean(kind, catalog.kinds)}")
    entries = list(catalog.entries(kind))
    if json:
        say_json([_entry_json(each) for each in entries])
        return
    for name in dict.fromkeys(each.kind for each in entries):
        if name not in KINDS:
            say(f"Components of kind {name}: {catalog.kinds[name].doc} ({catalog.kinds[name].provider})")
            say()
        for each in entries:
            if each.kind == name:
                _say_entry(each)


def _say_entry(entry: "Entry") -> None:
    from evoweights.config.schema import REQUIRED, settings_of

    say(f"{entry.kind} {entry.name}", bold=True)
    say(f"  {entry.summary}")
    say(f"  Source: {entry.source} ({entry.provider})")
    rows = []
    for each in settings_of(entry.component).values():
        default = "required" if each.default is REQUIRED else f"= {default_text(each)}"
        rows.append((each.name, default, f"{each.facts.get('doc', '')} ({each.allowed()})"))
    if rows:
        say_rows(rows, indent="    ")
    say()


def default_text(each: "Setting") -> str:
    """A default as YAML would have it; of a part what differs from its component's own defaults, often only its name."""
    from evoweights.config.schema import plain, settings_of

    if not each.kind:
        return _yaml(plain(each.default))
    given = plain(each.default)
    own = {key: plain(setting.default) for key, setting in settings_of(type(each.default)).items()}
    other = {key: value for key, value in given.items() if key != "name" and value != own[key]}
    return given["name"] if not other else _yaml({"name": given["name"], **other})


def _yaml(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_yaml(each)}' for key, each in value.items())}}}"
    return repr(value) if value == "" else str(value)


def _entry_json(entry: "Entry") -> dict[str, Any]:
    from evoweights.config.schema import settings_of

    return {
        "kind": entry.kind,
        "name": entry.name,
        "summary": entry.summary,
        "source": entry.source,
        "provider": entry.provider,
        "settings": [_setting_json(each) for each in settings_of(entry.component).values()],
    }


def _setting_json(each: "Setting") -> dict[str, Any]:
    from evoweights.config.schema import REQUIRED, plain

    required = each.default is REQUIRED
    facts = {key: each.facts.get(key) for key in ("doc", "unit", "minimum", "maximum")}
    return {
        "name": each.name,
        "type": each.type_words,
        "kind": each.kind or None,
        "required": required,
        "default": None if required else plain(each.default),
        "choices": list(each.facts.get("choices") or ()),
        **facts,
    }
