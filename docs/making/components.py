"""Reference of the components: a page for every kind, made from the catalog of the built-in plugins."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from evoweights.catalog import KINDS, Catalog, Entry, Preset
from evoweights.cli.extensions import default_text
from evoweights.config.run_config import SEVERAL, SINGLE
from evoweights.config.schema import REQUIRED, Setting, settings_of
from evoweights.plugins.loading import load_plugins
from evoweights.traits import Traits
from making.text import code, escaped, prose, table

FOLDER = "reference/components"


def built_in_catalog() -> Catalog:
    """The components of the plugins that evoweights comes with."""
    return load_plugins(folder=Path()).catalog


def component_pages() -> dict[str, str]:
    """The pages, by their place on the site."""
    catalog = built_in_catalog()
    pages = {f"{FOLDER}/{kind}.md": kind_page(kind, catalog) for kind in catalog.kinds}
    return pages | {"reference/presets.md": _presets_page(list(catalog.presets.values()))}


def kind_page(kind: str, catalog: Catalog) -> str:
    """The components of one kind."""
    parts = [f"# {kind[0].upper()}{kind[1:].replace('_', ' ')} components\n\n{_place(kind, catalog)}\n"]
    entries = list(catalog.entries(kind))
    parts.append(
        table(
            ["component", "what it does"],
            [(f"[`{each.name}`](#{each.name})", escaped(each.summary)) for each in entries],
        )
    )
    parts += [_entry(each, catalog) for each in entries]
    return "\n".join(parts)


def _place(kind: str, catalog: Catalog) -> str:
    """Where a configuration names components of a kind."""
    sections = [section for section, of in {**SINGLE, **SEVERAL}.items() if of == kind]
    if kind in KINDS:
        entries = "the entries of the section" if sections[0] in SEVERAL else "the section"
        return f"A configuration names them in {entries} `{sections[0]}`."
    holders = [
        f"[`{entry.name}`]({entry.kind}.md#{entry.name})"
        for entry in catalog.entries()
        if any(each.kind == kind for each in settings_of(entry.component).values())
    ]
    opened = catalog.kinds[kind]
    held = ", ".join(holders) or "no component"
    return (
        f"{escaped(opened.doc[0].upper() + opened.doc[1:])}. The kind is opened by `{opened.provider}`. Held by {held}."
    )


def _entry(entry: Entry, catalog: Catalog) -> str:
    facts = [
        ("source", escaped(entry.source)),
        ("plugin", code(entry.provider)),
        ("class", code(_path(entry.component))),
    ]
    if claims := _claims(entry.component):
        facts.append(("claims", claims))
    presets = [each.name for each in catalog.presets.values() if _is_named(entry, each.values)]
    if presets:
        facts.append(("in presets", ", ".join(f"[`{name}`](../presets.md#{name})" for name in presets)))
    rows = [_setting(each, catalog) for each in settings_of(entry.component).values()]
    settings = (
        table(["setting", "type", "default", "unit", "allowed", "what it is"], rows)
        if rows
        else "It has no settings.\n"
    )
    return f"## {entry.name}\n\n{prose(entry.component.__doc__)}\n\n{table(['', ''], facts)}\n{settings}"


def _path(component: type) -> str:
    return f"{component.__module__}.{component.__qualname__}"


def _setting(each: Setting, catalog: Catalog) -> tuple[str, ...]:
    default = "required" if each.default is REQUIRED else code(default_text(each))
    kind = f"[{each.type_words}]({each.kind}.md)" if each.kind in catalog.kinds else each.type_words
    return (
        code(each.name),
        kind,
        default,
        escaped(each.facts.get("unit", "")),
        _allowed(each),
        escaped(each.facts.get("doc", "")),
    )


def _allowed(each: Setting) -> str:
    """Choices or bounds, as far as there are any."""
    if choices := each.facts.get("choices"):
        return ", ".join(map(code, choices))
    low, high = each.facts.get("minimum"), each.facts.get("maximum")
    if low is not None and high is not None:
        return f"{low} to {high}"
    return f"at least {low}" if low is not None else f"at most {high}" if high is not None else ""


def _claims(component: type) -> str:
    """What a component claims of itself, if it claims anything, with its default settings where they decide."""
    found: Any = getattr(component, "traits", None)
    needs = [each for each in settings_of(component).values() if each.default is REQUIRED]
    if isinstance(found, property) and not needs:
        found = component().traits
    if not isinstance(found, Traits):
        return ""
    said = {name: value for name, value in vars(found).items() if value not in (None, "")}
    return ", ".join(_claim(name, value) for name, value in said.items())


def _claim(name: str, value: object) -> str:
    if name == "kind":
        return f"a {value}"
    if isinstance(value, bool):
        return code(name) if value else f"not {code(name)}"
    return f"{code(name)} is {code(value)}"


def _is_named(entry: Entry, values: Mapping[str, Any]) -> bool:
    """Whether a preset names a component, in a section or as a part of what a section names."""
    for section, kind in {**SINGLE, **SEVERAL}.items():
        found = values.get(section, [])
        for each in found if isinstance(found, list) else [found]:
            parts = [(key, part) for key, part in each.items() if isinstance(part, Mapping)]
            if any(of == entry.kind and given.get("name") == entry.name for of, given in [(kind, each), *parts]):
                return True
    return False


def _presets_page(presets: list[Preset]) -> str:
    intro = (
        "# Presets\n\nSettings under one name: `preset: NAME` puts a configuration over them, and what it says itself wins. An "
        "entry of `improve` or `vary` lies over the preset's entry of the same name.\n"
    )
    rows = [(f"[`{each.name}`](#{each.name})", escaped(each.doc)) for each in presets]
    return "\n".join([intro, table(["preset", "what it is"], rows), *map(_preset, presets)])


def _preset(preset: Preset) -> str:
    facts = [("source", escaped(preset.source)), ("plugin", code(preset.provider))]
    values = OmegaConf.to_yaml(OmegaConf.create(dict(preset.values)))
    return f"## {preset.name}\n\n{escaped(preset.doc)}\n\n{table(['', ''], facts)}\n```yaml\n{values}```\n"
