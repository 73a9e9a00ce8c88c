"""Evolving subnetwork training: gradient steps on a part of the model that grows to the whole of it."""

from typing import TYPE_CHECKING

from evoweights.hookspecs import hookimpl

if TYPE_CHECKING:
    from evoweights.catalog import Registrar


@hookimpl
def register(catalog: "Registrar") -> None:
    """Add the improver, what it must beat, and schedules."""
    from evoweights_est.controls import Full, FullFlops
    from evoweights_est.est import SubnetworkTraining
    from evoweights_est.presets import add_presets

    catalog.add("improve", SubnetworkTraining)
    for each in (Full, FullFlops):
        catalog.add("control", each)
    add_presets(catalog)
