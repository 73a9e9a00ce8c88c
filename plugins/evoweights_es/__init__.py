"""Evolution strategies: training without gradients, from the scores of perturbed copies."""

from typing import TYPE_CHECKING

from evoweights.hookspecs import hookimpl

if TYPE_CHECKING:
    from evoweights.catalog import Registrar


@hookimpl
def register(catalog: "Registrar") -> None:
    """Add the strategy, what it is composed of, what it must beat, the task that judges texts, and the published presets."""
    from evoweights_es import estimators, rewards, shaping, updates
    from evoweights_es.controls import BlindSearch, Gradient, GradientOfEqualCost
    from evoweights_es.es import EvolutionStrategy
    from evoweights_es.gaussian import Gaussian
    from evoweights_es.low_rank import LowRank
    from evoweights_es.presets import add_presets
    from evoweights_es.random_search import RandomSearch
    from evoweights_es.subspace import Subspace
    from evoweights_es.text_reward import TextReward

    catalog.kind("perturbation", "how the members of an evolution strategy differ from its centre")
    catalog.kind("shaping", "how the fitness of members becomes weights")
    catalog.kind("estimator", "which members there are, and how their weights make one direction")
    catalog.kind("update", "how the estimated direction changes the weights")
    catalog.kind("reward", "what a text is worth")
    for perturbation in (Gaussian, LowRank, Subspace):
        catalog.add("perturbation", perturbation)
    for each in (
        *(shaping.ZScore, shaping.CentredRank, shaping.LeaveOneOut, shaping.Group, shaping.Sign, shaping.Raw),
    ):
        catalog.add("shaping", each)
    for each in (estimators.OneSided, estimators.Antithetic):
        catalog.add("estimator", each)
    for each in (updates.Plain, updates.Momentum, updates.Adam):
        catalog.add("update", each)
    for each in (rewards.LetterShare, rewards.Length):
        catalog.add("reward", each)
    for each in (EvolutionStrategy, RandomSearch):
        catalog.add("improve", each)
    for each in (BlindSearch, Gradient, GradientOfEqualCost):
        catalog.add("control", each)
    catalog.add("task", TextReward)
    add_presets(catalog)
