"""The source of a configuration: YAML, presets and overrides, put together without losing where each value is from.

A text comes from anyone, so it is read within bounds (size, depth, number of values) and holds plain values only: no
tags, no merge keys, and of OmegaConf's interpolations only ``${key}`` and ``${oc.env:NAME}``.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from evoweights.config.interpolation import FORMS, is_malformed
from evoweights.config.merging import merge_under
from evoweights.errors import UsageError

MAX_CHARACTERS = 100_000
MAX_DEPTH = 20
MAX_VALUES = 10_000
COMMAND_LINE = "command line"
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


@dataclass
class Source:
    """A configuration in the making: plain unresolved values, where each is from by dotted path, and what is wrong.

    ``typed`` holds overrides as they were typed, because a name such as 2024 is text where text is expected. ``below`` names
    the origins that the configuration was put over.
    """

    name: str
    values: dict[str, Any]
    origins: dict[str, str] = field(default_factory=dict)
    typed: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    below: set[str] = field(default_factory=set)

    def origin(self, path: str) -> str:
        """Where the value at ``path``, or the mapping it would be in, was given."""
        while path not in self.origins and "." in path:
            path = path.rpartition(".")[0]
        return self.origins.get(path, self.name)

    def complain(self, path: str, what: str) -> None:
        """Note a mistake at ``path``; :meth:`raise_problems` shows all of them at once."""
        self.problems.append(f"{self.origin(path)}: {path}: {what}")

    def raise_problems(self) -> None:
        """End here if anything is wrong.

        Raises:
            UsageError: at least one mistake was noted.
        """
        if len(self.problems) == 1:
            raise UsageError(self.problems[0])
        if self.problems:
            raise UsageError("\n  ".join([f"{self.name}: {len(self.problems)} mistakes:", *self.problems]))

    def as_text(self, path: str, value: Any, facts: Mapping[str, Any] | None = None) -> Any:
        """``value``, or if it is a number or boolean from the command line, the text that was typed there.

        YAML takes a plain on or off for a boolean; where these are among the choices (of ``facts``) they are meant.
        """
        if isinstance(value, bool | int | float) and path in self.typed:
            return self.typed[path]
        choices = (facts or {}).get("choices") or ()
        return ("on" if value else "off") if isinstance(value, bool) and {"on", "off"} <= {*choices} else value

    def override(self, text: str) -> None:
        """Apply ``a.b=c`` from the command line: to a mapping's key, or to a list's entry by its number."""
        path, equals, typed = text.partition("=")
        keys = path.split(".")
        if not equals or not all(keys):
            self.problems.append(
                f"{COMMAND_LINE}: found {text!r}; expected key=value, such as seed=7 or vary.0.rate=0.1."
            )
            return
        try:
            (value,) = parse(f"value: {typed}", name=f"{COMMAND_LINE}: {path}").values.values()
        except ValueError:
            self._refuse(
                path, f"found {typed!r}, which is more than a value. Give each setting as an argument of its own."
            )
            return
        except UsageError as error:
            self.problems.append(f"{error} Put the value in quotes if it is text.")
            return
        place = self._place(keys, path)
        if place is None:
            return
        key = int(keys[-1]) if isinstance(place, list) else keys[-1]
        if isinstance(place, dict) and keys[1:] and key == "name" and place.get("name") != value:
            self._clear_below(place, ".".join(keys[:-1]))
        cast(Any, place)[key] = value
        for below in [each for each in self.origins if each.startswith(f"{path}.")]:
            del self.origins[below]
        self.origins[path], self.typed[path] = COMMAND_LINE, typed

    def _place(self, keys: Sequence[str], path: str) -> dict[str, Any] | list[Any] | None:
        """The mapping or list that holds the last of ``keys``; None, with a complaint, if there is no such place."""
        at: Any = self.values
        for depth, key in enumerate(keys):
            is_last = depth == len(keys) - 1
            if isinstance(at, list):
                if not (key.isdecimal() and len(key) < 6 and int(key) < len(at)):
                    allowed = f"entries 0 to {len(at) - 1}" if at else "no entries"
                    self._refuse(path, f"{key!r} is no entry of {'.'.join(keys[:depth])}, which has {allowed}.")
                    return None
                following = at if is_last else at[int(key)]
            elif isinstance(at, dict):
                following = at if is_last else at.setdefault(key, {})
            else:
                self._refuse(path, f"{'.'.join(keys[:depth])} is a single value and has no {key!r}.")
                return None
            at = following
        return at

    def _clear_below(self, place: dict[str, Any], path: str) -> None:
        """Take away what the mapping at ``path`` has from below only: it is about a component of another name."""
        for key in list(place):
            here = f"{path}.{key}"
            inside = [origin for each, origin in self.origins.items() if each.startswith(f"{here}.")]
            own = [origin for origin in (self.origin(here), *inside) if origin not in self.below]
            if own:
                self.origins[here] = own[0]
            else:
                del place[key]

    def _refuse(self, path: str, what: str) -> None:
        self.problems.append(f"{COMMAND_LINE}: {path}: {what}")

    def put_under(self, preset: Mapping[str, Any], *, origin: str) -> None:
        """Add what a preset says and this configuration does not.

        See :func:`~evoweights.config.merging.merge_under`.
        """
        self.below.add(origin)
        merge_under(self.values, preset, origin=origin, origins=self.origins)


def parse(text: str, *, name: str) -> Source:
    """Read a YAML text; ``name`` is what messages call it.

    Raises:
        UsageError: no YAML, no mapping, beyond the bounds, or something in it that a configuration does not have.
    """
    if len(text) > MAX_CHARACTERS:
        raise UsageError(f"{name}: {len(text):,} characters; a configuration has at most {MAX_CHARACTERS:,}.")
    source = Source(name, {})
    try:
        _check_events(text, source)
        source.raise_problems()
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if not isinstance(root, yaml.MappingNode):
            found = "nothing" if root is None else "a single value or a list"
            raise UsageError(f"{name}: found {found}; expected a mapping such as `generations: 40`.")
        _note_lines(root, source)
        source.raise_problems()
        tree = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    except yaml.YAMLError as error:
        raise UsageError(_describe_yaml_error(error, name)) from error
    except ValueError as error:  # PyYAML takes 0x_ for a number, and Python reads no number of 5,000 digits
        raise UsageError(f"{name}: holds a number that cannot be read: {error}.") from error
    except OmegaConfBaseException as error:
        raise UsageError(f"{name}: cannot be read: {str(error).splitlines()[0]}") from error
    assert isinstance(tree, dict)
    source.values = {str(key): value for key, value in tree.items()}
    return source


def _check_events(text: str, source: Source) -> None:
    """Bound the depth before anything recursive sees the text, and refuse tags."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = f"{source.name}:{event.start_mark.line + 1}"
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            source.problems.append(f"{line}: more than {MAX_DEPTH} levels deep.")
            return
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag:
            source.problems.append(
                f"{line}: found the tag {event.tag!r}; a configuration has no tags. Put text in quotes."
            )


def _note_lines(root: yaml.MappingNode, source: Source) -> None:
    for count, (path, line) in enumerate(_walk(root, (), source)):
        if count == MAX_VALUES:
            source.problems.append(f"{source.name}: more than {MAX_VALUES:,} values, aliases counted as often as used.")
            return
        source.origins[".".join(path)] = f"{source.name}:{line}"


def _walk(node: yaml.Node, path: tuple[str, ...], source: Source) -> Iterator[tuple[tuple[str, ...], int]]:
    """Every path below a node with its line; aliases are followed, within the bounds."""
    if len(path) > MAX_DEPTH:
        source.problems.append(
            f"{source.name}:{node.start_mark.line + 1}: an alias of something that it is itself part of."
        )
        return
    if isinstance(node, yaml.SequenceNode):
        for index, each in enumerate(node.value):
            yield (*path, str(index)), each.start_mark.line + 1
            yield from _walk(each, (*path, str(index)), source)
    if isinstance(node, yaml.ScalarNode) and (wrong := _what_is_wrong(node.value)):
        source.problems.append(f"{source.name}:{node.start_mark.line + 1}: {'.'.join(path)}: {wrong}")
    if not isinstance(node, yaml.MappingNode):
        return
    first: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        where = f"{source.name}:{line}"
        if key.tag != "tag:yaml.org,2002:str":
            source.problems.append(f"{where}: a key must be plain text; put it in quotes if it is meant as such.")
            continue
        if key.value in first:
            dotted = ".".join((*path, key.value))
            source.problems.append(
                f"{where}: {dotted}: given twice, first in line {first[key.value]}. Remove one of them."
            )
        first.setdefault(key.value, line)
        yield (*path, key.value), line
        yield from _walk(value, (*path, key.value), source)


def _what_is_wrong(text: str) -> str:
    """Why a single value can be none of any setting; empty if it can."""
    if is_malformed(text):
        return f"an interpolation is of unknown form. Known: {FORMS}."
    if _NO_TEXT.search(text):
        return f"found {text!r:.60}, which holds a zero or half of a character; no file or text can have that. Take it out."
    return ""


def _describe_yaml_error(error: yaml.YAMLError, name: str) -> str:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return f"{name}: cannot be read as YAML: {str(error).splitlines()[0]}."
    where = f"{name}:{error.problem_mark.line + 1}"
    if "\\t" in (error.problem or ""):
        return f"{where}: found a tab; indent with spaces."
    context = f" ({error.context})" if error.context else ""
    return f"{where}: cannot be read as YAML{context}: {error.problem}."
