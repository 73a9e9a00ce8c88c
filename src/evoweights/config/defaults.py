"""What a component declares of its settings, held against what a configuration could give them."""

from collections.abc import Iterable

from evoweights.config.interpolation import Interpolations
from evoweights.config.run_config import Phase
from evoweights.config.schema import REQUIRED, convert, plain, settings_of
from evoweights.config.source import Source
from evoweights.errors import PluginError

TIMED = ("improve", "operator")
"""Kinds whose entries say as well in which generations they take part."""


def refuse_reserved(settings: Iterable[str], reserved: Iterable[str], where: str) -> None:
    """See that an entry of a configuration leaves the names of a component's settings free: they are not ``name``, and not
    ``reserved``.

    Raises:
        PluginError: one is.
    """
    if clash := {*settings} & {"name", *reserved}:
        raise PluginError(f"{where}: a setting cannot be called {', '.join(sorted(clash))}. Rename it.")


def check_settings(kind: str, component: type) -> None:
    """See that every setting has a name that an entry of a configuration leaves free, and a default that it allows itself.

    Raises:
        PluginError: one has not; or its type or default cannot be known.
    """
    settings = settings_of(component)
    refuse_reserved(settings, settings_of(Phase) if kind in TIMED else (), component.__name__)
    own = {name: each for name, each in settings.items() if not each.kind and each.default is not REQUIRED}
    source = Source(component.__name__, {})
    convert(own, {name: plain(each.default) for name, each in own.items()}, source, Interpolations({}), path="")
    if source.problems:
        told = "; ".join(each.removeprefix(f"{source.name}: ").rstrip(".") for each in source.problems)
        raise PluginError(
            f"{component.__name__}: a setting does not allow its own default: {told}. Correct one of the two."
        )
