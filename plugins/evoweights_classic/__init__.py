"""The classic components: AdamW, particle swarm, crossover, mutation, outer momentum, and the usual turns and selections."""

from evoweights.catalog import Registrar
from evoweights.hookspecs import hookimpl
from evoweights_classic.adamw import AdamW
from evoweights_classic.crossover import ArithmeticCrossover, Crossover, Mix
from evoweights_classic.individuals import Individuals
from evoweights_classic.mutation import Mutation
from evoweights_classic.outer_momentum import OuterMomentum
from evoweights_classic.pso import PSO
from evoweights_classic.selections import Best, Tournament, Truncation
from evoweights_classic.turns import All, Leader, RandomTurn, RoundRobin

MOMENTUM = "Every individual that has had its turn goes on along the way that it has come. Give it short turns, of some 25 steps."


@hookimpl
def register(catalog: Registrar) -> None:
    """Add the classic components."""
    catalog.add("population", Individuals)
    for turn in (RoundRobin, RandomTurn, All, Leader):
        catalog.add("turn", turn)
    catalog.add("improve", AdamW)
    for operator in (PSO, Crossover, ArithmeticCrossover, Mix, Mutation, OuterMomentum):
        catalog.add("operator", operator)
    for selection in (Best, Truncation, Tournament):
        catalog.add("select", selection)
    catalog.preset("outer_momentum", {"vary": [{"name": "outer_momentum"}]}, doc=MOMENTUM, source=OuterMomentum.source)
