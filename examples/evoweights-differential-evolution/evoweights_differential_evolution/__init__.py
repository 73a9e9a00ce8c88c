"""Differential evolution for evoweights: an operator that makes trials, and the selection in which they meet their parents.

A population of 2N rows is N parents and N trials: trial N + i is made from parent i and three others, and takes its place if
it is not worse. Only trials are written, so only they are evaluated.
"""

from evoweights import hookimpl
from evoweights_differential_evolution.one_to_one import OneToOne
from evoweights_differential_evolution.trials import DifferentialEvolution

EVOWEIGHTS_API = "1.0"

__all__ = ["DifferentialEvolution", "OneToOne"]


@hookimpl
def register(catalog):
    """Offer the operator and the selection."""
    catalog.add("operator", DifferentialEvolution)
    catalog.add("select", OneToOne)
