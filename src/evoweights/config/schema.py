"""Checks configured settings against the dataclass that declares them, and makes instances of it.

The types are OmegaConf's structured configs, one for each setting, so that every mistake is found, not only the first.
Literals are taken at their word (``"5"`` is no number, ``yes`` no text); what an interpolation gives is converted.
"""

import dataclasses
import enum
import itertools
import math
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from evoweights.config.interpolation import Interpolations, Unresolvable, has_interpolation, leaves
from evoweights.config.source import Source
from evoweights.errors import PluginError, did_you_mean

_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    Any: "any value",
}
_LITERALS = {bool: (bool,), int: (int,), float: (int, float), str: (str,), Path: (str,)}
REQUIRED = dataclasses.MISSING
HIDDEN = "a value from an interpolation (not shown)"


@dataclass(frozen=True)
class Setting:
    """One setting of a component: its type, its default (``REQUIRED`` if none), and what :func:`setting` said of it."""

    name: str
    hint: Any
    default: Any
    facts: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The kind of component that it holds; empty if it holds none."""
        return self.facts.get("kind", "")

    @property
    def type_words(self) -> str:
        """Its type in words."""
        article = "an" if self.kind[:1] in ("a", "e", "i", "o", "u") else "a"
        return f"{article} {self.kind} component" if self.kind else describe(self.hint)

    def allowed(self) -> str:
        """Its type, range and meaning in words."""
        low, high = self.facts.get("minimum"), self.facts.get("maximum")
        text = self.type_words
        if self.facts.get("choices"):
            text = f"one of {', '.join(map(str, self.facts['choices']))}"
        if low is not None and high is not None:
            text += f" from {low} to {high}"
        elif low is not None or high is not None:
            text += f", at least {low}" if low is not None else f", at most {high}"
        return text + (f" [{self.facts['unit']}]" if self.facts.get("unit") else "")


def settings_of(component: type) -> dict[str, Setting]:
    """The settings of a dataclass by name.

    Raises:
        PluginError: a type cannot be looked up, a default cannot be made, or that of a part is no component.
    """
    found = {}
    try:
        hints = typing.get_type_hints(component)
        for each in (each for each in dataclasses.fields(component) if each.init):
            default = each.default if each.default_factory is dataclasses.MISSING else each.default_factory()
            found[each.name] = Setting(each.name, hints[each.name], default, each.metadata)
    except Exception as error:
        raise PluginError(
            f"{component.__name__}: the type or default of a setting cannot be known ({type(error).__name__}: {error}). Import "
            "types plainly, not for type checkers only, and give defaults that can be made."
        ) from error
    for each in found.values():
        if each.kind and not isinstance(getattr(each.default, "name", None), str):
            raise PluginError(f"{component.__name__}.{each.name}: its default {each.default!r} is no component.")
    return found


def describe(hint: Any) -> str:
    """A type in words."""
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join("null" if each is types.NoneType else describe(each) for each in options)
    if origin is typing.Literal:
        return f"one of {', '.join(map(str, options))}"
    if origin in (list, tuple) or hint in (list, tuple):
        return f"a list, each entry {describe(options[0])}" if options else "a list"
    if origin is dict:
        return f"a mapping, each value {describe(options[1])}"
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return f"one of {', '.join(each.name for each in hint)}"
    return _WORDS.get(hint, "a mapping")


def plain(value: Any) -> Any:
    """A default value as YAML can hold it, a component with its name."""
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        name = getattr(value, "name", None)
        named = {"name": name} if isinstance(name, str) else {}
        return named | {each.name: plain(getattr(value, each.name)) for each in dataclasses.fields(value) if each.init}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def fill(
    settings: Mapping[str, Setting], given: Mapping[str, Any], source: Source, *, path: str, what: str
) -> dict[str, Any]:
    """What was given for ``settings`` plus every default, unresolved; unknown and missing ones are complained of."""
    prefix = f"{path}." if path else ""
    for key in (each for each in given if each not in settings):
        near = did_you_mean(key, settings, none="It has no settings.")
        source.complain(f"{prefix}{key}", f"unknown setting of {what}.{near}")
    filled = {}
    for name, each in settings.items():
        here = f"{prefix}{name}"
        if name in given:
            takes_text = str in (each.hint, *typing.get_args(each.hint)) and not _is_literally(each.hint, given[name])
            filled[name] = source.as_text(here, given[name], each.facts) if takes_text else given[name]
        elif each.default is REQUIRED:
            doc = f" ({each.facts['doc']})" if each.facts.get("doc") else ""
            source.complain(here, f"missing; {what} needs it: {each.allowed()}{doc}.")
        else:
            filled[name] = plain(each.default)
    return filled


def convert(
    settings: Mapping[str, Setting],
    filled: Mapping[str, Any],
    source: Source,
    resolver: Interpolations,
    *,
    path: str,
) -> dict[str, Any]:
    """The values of ``settings`` in their declared types, interpolations resolved; complains of what is not allowed."""
    converted = {}
    for name in (each for each in settings if each in filled):
        here = f"{path}.{name}" if path else name
        secret = any(has_interpolation(each) for _, each in leaves(filled[name]))
        try:
            value = resolver.resolve(filled[name])
            converted[name] = _convert(settings[name], value, here, secret=secret)
        except Unresolvable as error:
            source.complain(here, str(error))
        except _NotAllowed as error:
            shown = HIDDEN if secret else show(error.found)
            source.complain(error.path, f"found {shown}; {error}")
    return converted


class _NotAllowed(ValueError):
    """A value, and its place, that its setting does not allow; the text says what is."""

    def __init__(self, text: str, *, path: str, found: Any) -> None:
        super().__init__(text)
        self.path, self.found = path, found


def _convert(each: Setting, value: Any, path: str, *, secret: bool) -> Any:
    """``value`` in the type of its setting; entries of lists and mappings first, so that one of them is to blame."""
    for key, hint, entry in _entries(each.hint, value):
        _convert(dataclasses.replace(each, hint=hint), entry, f"{path}.{key}", secret=secret)
    node = _typed_node(each.hint, where=path)
    try:
        if not secret and not _is_literally(each.hint, value):
            raise _NotAllowed(f"expected {each.allowed()}.", path=path, found=value)
        OmegaConf.update(node, "value", value)
        result = typing.cast(Any, OmegaConf.to_object(node)).value
    except (OmegaConfBaseException, OverflowError) as error:
        raise _NotAllowed(f"expected {each.allowed()}.", path=path, found=value) from error
    if wrong := _outside(each, result, secret=secret):
        raise _NotAllowed(wrong, path=path, found=value)
    return result


def _entries(hint: Any, value: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Key, type and value of every entry of a list or mapping that is where one is expected."""
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin is dict and isinstance(value, Mapping):
        yield from ((key, options[1], entry) for key, entry in value.items())
    elif origin in (list, tuple) and isinstance(value, list):
        is_row = origin is tuple and options[-1] is not Ellipsis
        types_of = options if is_row else itertools.repeat(options[0])
        yield from ((key, kind, entry) for key, (kind, entry) in enumerate(zip(types_of, value, strict=False)))


def _outside(each: Setting, value: Any, *, secret: bool) -> str:
    """What is wrong with a single value of the right type; empty if it is within bounds and choices."""
    low, high, choices = (each.facts.get(key) for key in ("minimum", "maximum", "choices"))
    if isinstance(value, str) and choices and value not in choices:
        return f"expected {each.allowed()}." if secret else f"not allowed.{did_you_mean(value, choices)}"
    if not isinstance(value, int | float) or isinstance(value, bool):
        return ""
    if not math.isfinite(value):
        return f"expected {each.allowed()}, and finite."
    is_inside = (low is None or value >= low) and (high is None or value <= high)
    return "" if is_inside else f"expected {each.allowed()}."


def _is_literally(hint: Any, value: Any) -> bool:
    """Whether a literal is of the type without conversion, as far as single values and their lists are concerned."""
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_is_literally(each, value) for each in options)
    if hint is types.NoneType:
        return value is None
    if hint in _LITERALS:
        return isinstance(value, _LITERALS[hint]) and (hint is bool or not isinstance(value, bool))
    return all(_is_literally(kind, entry) for _, kind, entry in _entries(hint, value))


def _typed_node(hint: Any, *, where: str) -> Any:
    try:
        holder = dataclasses.make_dataclass("Setting", [("value", hint, field(default="???"))], repr=False, eq=False)
        return OmegaConf.structured(holder)
    except OmegaConfBaseException as error:
        raise PluginError(
            f"{where}: a setting cannot be of type {hint!r}. Use bool, int, float, str, Path, an Enum or a Literal, "
            "or lists, tuples and dicts of them."
        ) from error


def show(value: Any) -> str:
    """A literal as it should look in a message."""
    if value is None or isinstance(value, bool):
        return "nothing (null)" if value is None else str(value).lower()
    if isinstance(value, Mapping | list | tuple):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
