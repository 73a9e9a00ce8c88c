"""The interface of controls: components that turn a configuration into the plain alternative it must beat."""

import json
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from evoweights.config.run_config import RunConfig
from evoweights.config.source import parse


class Control(Protocol):
    """A component of kind ``control``: a run with which another one is compared, at equal seeds."""

    name: ClassVar[str]
    source: ClassVar[str]

    def applies(self, config: RunConfig) -> bool:
        """Whether it says anything about runs of this configuration."""
        ...

    def overrides(self, config: RunConfig) -> Sequence[str]:
        """What it changes of a configuration that it applies to, each as on the command line: ``vary.0.rate=1.0``.

        :func:`override` writes values of any shape, :func:`entries_of` reads the sections that are lists.
        """
        ...


def override(key: str, value: Any) -> str:
    """A setting as on the command line; ``value`` is anything that JSON has."""
    return f"{key}={json.dumps(value)}"


def entries_of(config: RunConfig, section: str) -> list[dict[str, Any]]:
    """The entries of ``improve`` or ``vary``, each with its name and every setting, as plain values."""
    return [dict(entry) for entry in parse(config.text, name=config.name).values[section]]
