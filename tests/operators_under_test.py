"""Every operator of the first-party plugins, with its defaults and with other settings."""

import dataclasses
from importlib import import_module

from evoweights.catalog import Catalog
from evoweights.operators import GeneOperator
from evoweights.plugins.sources import BUILT_IN

OTHER_SETTINGS = {
    "arithmetic_crossover": [{"weight": 0.0}, {"weight": 0.3}, {"weight": 1.0}],
    "crossover": [{"rate": 0.25, "bits": 8}, {"rate": 0.9, "bits": 32}],
    "last_change_noise": [{"strength": 2.0, "rate": 1.0}],
    "mix": [{"weight": 0.7}],
    "mutation": [{"sigma": 0.5, "rate": 0.4}, {"sigma": 0.5, "rate": 0.4, "relative_to": "nothing"}],
    "outer_momentum": [{"momentum": 0.0, "rate": 1.0}, {"momentum": 0.9, "rate": 0.7}],
    "pso": [
        {"social": 0.7},
        {"social": 1.494, "cognitive": 1.494, "inertia": 0.729},
        {"social": 1.0, "inertia": 0.9, "max_velocity": 0.01},
    ],
}
"""Settings that take another branch than the defaults, by operator; the tests want an entry for each."""


def registered():
    """The catalog of all first-party plugins."""
    catalog = Catalog()
    for module in BUILT_IN:
        import_module(module).register(catalog.registrar(module))
    return catalog


def operators():
    """An instance of every operator with its defaults and with each of the other settings; row 0 leads and is not rewritten."""
    for entry in registered().entries("operator"):
        for settings in [{}, *OTHER_SETTINGS.get(entry.name, [])]:
            yield entry.component(direction="current_to_others", **settings)


def label(operator):
    """The operator's name and the settings that are not at their default, for the names of tests."""
    told = [
        f"{each.name}={getattr(operator, each.name)}"
        for each in dataclasses.fields(operator)
        if getattr(operator, each.name) != each.default
    ]
    return "-".join([operator.name, *told])


def with_settings(operator, **settings):
    """A copy of the operator with other settings."""
    return dataclasses.replace(operator, **settings)


def is_random(operator):
    """Whether its result depends on the seed."""
    return isinstance(operator, GeneOperator) and any(each.is_noise for each in operator.kernel.arguments)
