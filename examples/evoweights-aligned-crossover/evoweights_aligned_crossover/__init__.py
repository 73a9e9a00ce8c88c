"""Crossover of perceptrons for evoweights: whole neurons or layers, after the other network's neurons are put in our order."""

from evoweights import hookimpl
from evoweights_aligned_crossover.crossover import AlignedCrossover

EVOWEIGHTS_API = "1.0"

__all__ = ["AlignedCrossover"]


@hookimpl
def register(catalog):
    """Offer the operator."""
    catalog.add("operator", AlignedCrossover)
