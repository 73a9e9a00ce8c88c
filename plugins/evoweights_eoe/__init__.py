"""EOE, Evolutionary Optimization of Experts (Chen 2025, arXiv 2509.24436), on any decoder-only language model."""

from evoweights.catalog import Registrar
from evoweights.hookspecs import hookimpl
from evoweights_eoe.experts import Experts
from evoweights_eoe.koifish import KOIFISH, KoifishTurn


@hookimpl
def register(catalog: Registrar) -> None:
    """Add the division into experts, the published schedule and the published settings."""
    catalog.add("population", Experts)
    catalog.add("turn", KoifishTurn)
    catalog.preset("koifish", KOIFISH.values, doc=KOIFISH.doc, source=KOIFISH.source)
