"""The other parents of a rewriting, as they were before, and what of its optimizer's state goes along."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from evoweights.errors import PluginError
from evoweights.operators import GeneOperator, Pair
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


class Before:
    """The rows as they were before an operator's pairs; of one that a later pair reads, the tensors in ``names`` are copied."""

    def __init__(self, population: Population, pairs: Sequence[Pair], names: Sequence[str]) -> None:
        self._population, self._pairs, self._names = population, pairs, names
        self._origins = list(population.individuals)
        self._copies: dict[int, dict[str, Tensor]] = {}

    def sources(self, index: int) -> list[Source]:
        """The parents of a pair; each pair is asked for in its turn, before it is applied."""
        pair, later = self._pairs[index], self._pairs[index + 1 :]
        if pair.target not in self._copies and any(pair.target in each.parents for each in later):
            rows = {name: self._population.row(pair.target, name) for name in self._names}
            self._copies[pair.target] = {name: row.clone() for name, row in rows.items()}
        return [
            Source(self._population, row, self._origins[row], self._copies.get(row, {}) if row != pair.target else {})
            for row in pair.parents
        ]


def parents_by_name(operator: GeneOperator, read: Sequence[str], parents: Sequence[Tensor]) -> dict[str, Tensor]:
    """The parents by the names of the kernel arguments that read them; a single one is read by all.

    Raises:
        PluginError: there are several, but another number of arguments.
    """
    if len(parents) == 1:
        return dict.fromkeys(read, parents[0])
    if len(read) != len(parents):
        raise PluginError(
            f"operator {operator.name}: its pairs have {len(parents)} parents, but kernel {operator.kernel.name} reads "
            f"{len(read)} ({', '.join(read)}). Give it a Gene argument for each."
        )
    return dict(zip(read, parents, strict=True))


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
