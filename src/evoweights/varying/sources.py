"""The other parent of a rewriting, as it was before, and what of its optimizer's state goes along."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from evoweights.operators import Pair
from evoweights.population import Individual, Population


@dataclass(frozen=True)
class Source:
    """A row as it was when the phase's operator began; ``tensors`` are copies of what has been overwritten since."""

    population: Population
    row: int
    individual: Individual
    tensors: Mapping[str, Tensor]

    def tensor(self, name: str) -> Tensor:
        """Its weights or a slot as they were."""
        return self.tensors[name] if name in self.tensors else self.population.row(self.row, name)


def carry_optimizer_state_(population: Population, pair: Pair, source: Source, policy: str) -> None:
    """What happens to the optimizer's state of a rewritten genome: ``keep`` it, ``reset`` it, or ``copy`` the source's."""
    if policy == "keep":
        return
    for slot in population.slots:
        if slot.role != "optimizer":
            continue
        if policy == "reset":
            population.row(pair.target, slot.name).zero_()
        elif pair.source != pair.target:
            population.row(pair.target, slot.name).copy_(source.tensor(slot.name))
    if policy == "reset":
        population.individuals[pair.target].counters = {}
    else:
        population.individuals[pair.target].counters = dict(source.individual.counters)
