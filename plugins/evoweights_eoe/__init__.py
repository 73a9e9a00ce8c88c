"""EOE, Evolutionary Optimization of Experts (Chen 2025, arXiv 2509.24436), on any decoder-only language model."""

from evoweights.catalog import Registrar
from evoweights.hookspecs import hookimpl
from evoweights_eoe import controls
from evoweights_eoe.experts import Experts
from evoweights_eoe.full_depth import FullDepth, FullDepthFlops
from evoweights_eoe.koifish import KOIFISH, KoifishTurn
from evoweights_eoe.last_change_noise import LastChangeNoise
from evoweights_eoe.recommended import add_presets


@hookimpl
def register(catalog: Registrar) -> None:
    """Add the division into experts, the published schedule and settings, and what EOE must beat."""
    catalog.add("population", Experts)
    catalog.add("turn", KoifishTurn)
    catalog.add("operator", LastChangeNoise)
    for each in (controls.Dense, controls.DenseReset, controls.DenseNoise, FullDepth, FullDepthFlops):
        catalog.add("control", each)
    for each in (controls.NoEvolution, controls.Copy, controls.CopyMoments, controls.SwarmOnly, controls.MixOnly):
        catalog.add("control", each)
    for each in (controls.BestToCurrent, controls.CurrentToOthers):
        catalog.add("control", each)
    catalog.preset("koifish", KOIFISH.values, doc=KOIFISH.doc, source=KOIFISH.source)
    add_presets(catalog)
