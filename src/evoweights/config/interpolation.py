"""Interpolations of a configuration: ``${key}`` for another of its values, ``${oc.env:NAME}`` for the environment.

The form is OmegaConf's; no other of its resolvers is known here. What an interpolation gives is used but never written
down or shown: the run's files keep the interpolation itself, and a configuration can read none but harmless variables
unless the command line names more.
"""

import fnmatch
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

OPEN_VARIABLES = ("EVOWEIGHTS_*", "CUDA_VISIBLE_DEVICES", "HOME", "USER", "SLURM_*")
FORMS = "${key}, ${oc.env:NAME} and ${oc.env:NAME,default}"
MAX_LOOKUPS = 100
_PATTERN = re.compile(
    r"(?<!\\)\$\{(?:oc\.env:(?P<variable>[A-Za-z_]\w*)(?:,(?P<default>[^${}]*))?|(?P<key>[A-Za-z_]\w*(?:\.\w+)*))\}"
)


class Unresolvable(ValueError):
    """An interpolation that is not allowed or leads nowhere; its text is fit to be shown."""


def has_interpolation(value: object) -> bool:
    """Whether a value is a text with an interpolation in it."""
    return isinstance(value, str) and "${" in value


def is_malformed(value: object) -> bool:
    """Whether a value is a text with something like an interpolation that is of none of the known forms."""
    return isinstance(value, str) and "${" in _PATTERN.sub("", value)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every single value in nested mappings and lists, with its dotted path."""
    if isinstance(value, Mapping | list | tuple):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, each in items:
            yield from leaves(each, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


class Interpolations:
    """Resolves the interpolations of one tree of plain values."""

    def __init__(self, tree: Mapping[str, Any], *, allow_env: Iterable[str] = ()) -> None:
        self._values = dict(leaves(tree))
        self._allowed = (*OPEN_VARIABLES, *allow_env)

    def resolve(self, value: Any) -> Any:
        """``value`` with every interpolation in it replaced; one that is the whole text keeps the type of its value.

        Raises:
            Unresolvable: the form is unknown, the variable may not be read or is not set, the key does not exist or is
                no single value, or there is no end to it, as in a cycle.
        """
        if isinstance(value, dict):
            return {key: self.resolve(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.resolve(each) for each in value]
        return self._resolve(value, [MAX_LOOKUPS])

    def _resolve(self, value: Any, budget: list[int]) -> Any:
        if not has_interpolation(value):
            return value
        if is_malformed(value):
            raise Unresolvable(f"an interpolation is of unknown form. Known: {FORMS}.")
        if whole := _PATTERN.fullmatch(value):
            return self._look_up(whole, budget)
        return _PATTERN.sub(lambda match: str(self._look_up(match, budget)), value)

    def _look_up(self, match: re.Match[str], budget: list[int]) -> Any:
        """One interpolation; ``budget`` counts down, which ends cycles and explosions alike."""
        budget[0] -= 1
        if budget[0] < 0:
            raise Unresolvable(f"interpolations go round in a circle, or need more than {MAX_LOOKUPS} steps.")
        if variable := match["variable"]:
            return self._read_environment(variable, match["default"])
        if match["key"] not in self._values:
            raise Unresolvable(f"${{{match['key']}}} names no single value of this configuration.")
        return self._resolve(self._values[match["key"]], budget)

    def _read_environment(self, variable: str, default: str | None) -> str:
        if not any(fnmatch.fnmatchcase(variable, each) for each in self._allowed):
            raise Unresolvable(
                f"a configuration may not read the environment variable {variable}. "
                f"Allowed: {', '.join(self._allowed)}. To allow it, add --allow-env {variable}."
            )
        found = os.environ.get(variable, default)
        if found is None:
            raise Unresolvable(
                f"the environment variable {variable} is not set. Set it, or give a default: "
                f"${{oc.env:{variable},default}}."
            )
        return found
