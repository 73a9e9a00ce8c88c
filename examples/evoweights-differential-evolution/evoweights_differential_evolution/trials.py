"""The operator: a trial is its parent, with most genes replaced by those of a mutant of three others."""

import math
from dataclasses import dataclass

from evoweights import Chance, Gene, GeneOperator, Pair, Scalar, Traits, gene_kernel, setting, where
from evoweights.errors import UsageError


@gene_kernel
def differential_evolution(
    trial: Gene, parent: Gene, base: Gene, plus: Gene, minus: Gene, weight: Scalar, rate: Chance
):
    """The mutant's gene ``base + weight (plus - minus)`` with probability ``rate``, else the parent's."""
    return where(rate, base + weight * (plus - minus), parent)


@dataclass(frozen=True)
class DifferentialEvolution(GeneOperator):
    """DE/rand/1/bin and DE/best/1/bin: steps along the difference of two individuals, crossed over with the parent.

    Rows 0 to N - 1 of a population of 2N are parents, the others trials. The gene that the published method always takes
    from the mutant is left to chance like the others: with n genes a trial equals its parent with probability (1 - rate)^n.
    """

    name, kernel = "differential_evolution", differential_evolution
    source = "Storn and Price 1997, J. Global Optimization 11:341"
    traits = Traits(stochastic=True, gene_wise=True, homogeneous=True, translates=True, difference="weight")

    base: str = setting(
        "rand", "what the difference is added to: a random parent, or the best", choices=("rand", "best")
    )
    weight: float = setting(0.5, "factor of the difference, F", unit="factor", minimum=0.0, maximum=2.0)
    rate: float = setting(0.9, "probability of a mutant's gene, CR", unit="probability", minimum=0.0, maximum=1.0)
    direction: str = setting("parents_to_trials", "each parent's trial is rewritten", choices=("parents_to_trials",))
    scope: str = setting("all", "a trial replaces its parent as a whole, so all genes are made", choices=("all",))

    def pairs(self, scene):
        """For every parent its trial's rewriting; none while fewer than four parents are healthy.

        The three others are distinct, and none is the parent, but that the best may be. Of a parent that failed, the base
        takes the place.

        Raises:
            UsageError: the population is no 2N with N of at least 4.
        """
        import torch

        size = len(scene.scores) // 2
        if len(scene.scores) % 2 or size < 4:
            raise UsageError(
                f"operator differential_evolution: needs an even population.size of at least 8, half of it parents and half "
                f"trials; found {len(scene.scores)}."
            )
        healthy = [row for row in scene.healthy if row < size]
        if len(healthy) < 4:
            return []
        generator = scene.noise.at("parents").generator()
        made = []
        for row in range(size):
            others = [each for each in healthy if each != row]
            drawn = [others[each] for each in torch.randperm(len(others), generator=generator)[:3].tolist()]
            base = self._base(drawn[0], healthy, scene)
            first, second = [each for each in drawn if each != base][:2]
            made.append(Pair(size + row, row if row in healthy else base, (base, first, second)))
        return made

    def _base(self, drawn, healthy, scene):
        losses = scene.scores if self.best_by == "fitness" else scene.train_losses
        known = [row for row in healthy if not math.isnan(losses[row])]
        return drawn if self.base == "rand" or not known else min(known, key=lambda row: (losses[row], row))
