"""EvoTorch's searchers as improvers: over a genome, a random subspace of it, or low-rank changes of its matrices."""

from typing import TYPE_CHECKING

from evoweights.hookspecs import hookimpl

if TYPE_CHECKING:
    from evoweights.catalog import Registrar


@hookimpl
def register(catalog: "Registrar") -> None:
    """Add the searchers and the spaces they search; EvoTorch itself is imported when one takes a step."""
    from evoweights_evotorch import gaussians, pgpe, populations, spaces
    from evoweights_evotorch.cmaes import CMAES
    from evoweights_evotorch.lora import LoRA

    catalog.kind("space", "what the vector is that a searcher changes")
    for space in (spaces.Genome, spaces.Subspace, LoRA):
        catalog.add("space", space)
    for searcher in (
        *(gaussians.SNES, gaussians.XNES, gaussians.CEM, pgpe.PGPE, CMAES),
        *(populations.GeneticAlgorithm, populations.Cosyne, populations.MapElites),
    ):
        catalog.add("improve", searcher)
