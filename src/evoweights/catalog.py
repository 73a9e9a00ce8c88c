"""The catalog of components: what exists, under which name, from whom, with which settings.

A component is a frozen dataclass. Its fields are its settings, made with :func:`setting`, or with :func:`part` if they hold
another component; its class attributes ``name`` and ``source`` say what a configuration calls it and where it was
published; its docstring says what it does. Validation, ``evoweights operators``, the documentation and the tests all read
this one description.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, cast

from evoweights.errors import PluginError, UsageError, did_you_mean

KINDS = ("task", "population", "turn", "improve", "operator", "select", "observer", "control")
"""The kinds that sections of a configuration are of; plugins may open more."""
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def setting(
    default: Any = dataclasses.MISSING,
    doc: str = "",
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A field of a component: its default, meaning, unit and allowed values (bounds are inclusive)."""
    facts = {"doc": doc, "unit": unit, "minimum": minimum, "maximum": maximum, "choices": choices}
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata=facts)
    if default is dataclasses.MISSING:
        return field(metadata=facts)
    return field(default=default, metadata=facts)


def part(kind: str, default: Callable[[], Any], doc: str) -> Any:
    """A field of a component that holds another component, of the given kind.

    ``default`` makes the one that is there if none is asked for: its class, or any function of no arguments. A
    configuration gives a part as a mapping, ``{name: low_rank, rank: 2}``, or by its name alone, ``low_rank``. A mapping
    without a name is about the default component. What is left out is as in the default if that is of the same name, and
    else as the component declares.
    """
    return field(default_factory=default, metadata={"doc": doc, "kind": kind})


@dataclass(frozen=True)
class Kind:
    """A kind of component, what its components do, and who opened it."""

    name: str
    doc: str
    provider: str


@dataclass(frozen=True)
class Entry:
    """One component of the catalog and the plugin that provides it."""

    kind: str
    name: str
    component: type
    provider: str

    @property
    def source(self) -> str:
        """Where the method was published."""
        return self.component.source

    @property
    def summary(self) -> str:
        """First line of the component's docstring."""
        return (self.component.__doc__ or "").strip().split("\n")[0]

    @property
    def settings(self) -> tuple["dataclasses.Field[Any]", ...]:
        """The dataclass fields that a configuration may set."""
        return dataclasses.fields(self.component)


@dataclass(frozen=True)
class Preset:
    """Settings under one name: a partial configuration that a user's own is merged over."""

    name: str
    values: Mapping[str, Any]
    doc: str
    source: str
    provider: str


class Catalog:
    """Every component and preset, by kind and name."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Entry] = {}
        self._presets: dict[str, Preset] = {}
        self._kinds = {name: Kind(name, "a section of a configuration", "evoweights") for name in KINDS}

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """Every kind by name: the engine's, then those of plugins in the order of opening."""
        return MappingProxyType(self._kinds)

    @property
    def presets(self) -> Mapping[str, Preset]:
        """Every preset by name, in the order of offering."""
        return MappingProxyType(self._presets)

    def registrar(self, provider: str) -> "Registrar":
        """The face of the catalog that one plugin's ``register`` hook is given."""
        return Registrar(self, provider)

    def entries(self, kind: str | None = None) -> Iterator[Entry]:
        """Components of one kind (all kinds if None), by kind and name."""
        order = list(self._kinds)
        for key in sorted(self._entries, key=lambda key: (order.index(key[0]), key[1])):
            if kind in (None, key[0]):
                yield self._entries[key]

    def find(self, kind: str, name: str, *, where: str) -> Entry:
        """The component called ``name``; ``where`` is the dotted place in the configuration, for the message.

        Raises:
            UsageError: there is none of that name.
        """
        if entry := self._entries.get((kind, name)):
            return entry
        elsewhere = [entry.kind for entry in self.entries() if entry.name == name]
        hint = f" ({name!r} exists as a component of kind {elsewhere[0]!r}.)" if elsewhere else ""
        known = [entry.name for entry in self.entries(kind)]
        near = did_you_mean(name, known, none=f"There is no {kind} at all; name a plugin that adds one.")
        raise UsageError(f"{where}: no {kind} is called {name!r}.{hint}{near}")

    def find_preset(self, name: str) -> Preset:
        """The preset called ``name``.

        Raises:
            UsageError: there is none of that name.
        """
        if name not in self._presets:
            raise UsageError(f"preset: no preset is called {name!r}.{did_you_mean(name, self._presets)}")
        return self._presets[name]

    def _take(self, table: dict[Any, Any], key: Any, new: "Entry | Preset | Kind") -> None:
        if old := table.get(key):
            label = " ".join(key) if isinstance(key, tuple) else f"{type(new).__name__.lower()} {key}"
            raise PluginError(
                f"The name {label!r} is taken twice: by {old.provider} and by {new.provider}. "
                "Remove one of the two plugins from the configuration, or rename what one of them offers."
            )
        table[key] = new


@dataclass(frozen=True)
class Registrar:
    """Adds components to the catalog in the name of one plugin."""

    catalog: Catalog
    provider: str

    def kind(self, name: str, doc: str) -> None:
        """Open a kind of component, which parts of components may be of; any plugin may then add to it.

        Raises:
            PluginError: no usable name, no ``doc``, or the kind exists.
        """
        if not (_NAME.fullmatch(name) and doc):
            raise PluginError(
                f"{self.provider}: kind {name!r}: needs a name like 'my_kind', and a text that says what it is."
            )
        self.catalog._take(self.catalog._kinds, name, Kind(name, doc, self.provider))

    def add(self, kind: str, component: type) -> None:
        """Offer a component.

        Raises:
            PluginError: unknown kind, no frozen dataclass, no usable ``name``, ``source`` or docstring, or the name is taken.
        """
        if not isinstance(component, type):
            found = f"found {component!r}, expected the class itself, without parentheses."
            raise PluginError(f"{self.provider}: catalog.add({kind!r}, ...): {found}")
        where = f"{self.provider}: component {component!r}"
        if not (dataclasses.is_dataclass(component) and cast(Any, component).__dataclass_params__.frozen):
            raise PluginError(f"{where}: must be a frozen dataclass. Decorate it with @dataclass(frozen=True).")
        for each in (kind, *(held.metadata.get("kind", kind) for held in dataclasses.fields(component))):
            if each not in self.catalog.kinds:
                known = did_you_mean(each, self.catalog.kinds)
                raise PluginError(f"{where}: no kind {each!r} is open; catalog.kind() opens one.{known}")
        name, source = getattr(component, "name", None), getattr(component, "source", None)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise PluginError(f"{where}: needs a class attribute `name` like 'my_operator', found {name!r}.")
        if not isinstance(source, str) or not source:
            raise PluginError(f"{where}: needs a class attribute `source`: the paper, or who made it.")
        # A dataclass without a docstring is given its signature as one; that says nothing to a user.
        if not component.__doc__ or component.__doc__.startswith(f"{component.__name__}("):
            raise PluginError(f"{where}: needs a docstring whose first line says what it does.")
        self.catalog._take(self.catalog._entries, (kind, name), Entry(kind, name, component, self.provider))

    def preset(self, name: str, values: Mapping[str, Any], *, doc: str, source: str) -> None:
        """Offer a partial configuration under a name."""
        self.catalog._take(self.catalog._presets, name, Preset(name, values, doc, source, self.provider))
