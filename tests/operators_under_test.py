"""Every operator of the first-party plugins, with its defaults and with other settings."""

from importlib import import_module

from evoweights.catalog import Catalog
from evoweights.operators import GeneOperator, PairOperator
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


OPERATORS = list(operators())


def on(backend, kind=PairOperator):
    """The operators of a kind to check on a target: all; in Triton's interpreter, which is slow, one for each kernel."""
    chosen = [each for each in OPERATORS if isinstance(each, kind)]
    if backend == "triton":
        kernels = {each.kernel.fingerprint: each for each in chosen if isinstance(each, GeneOperator)}
        chosen = [each for each in chosen if not isinstance(each, GeneOperator)] + list(kernels.values())
    return chosen
