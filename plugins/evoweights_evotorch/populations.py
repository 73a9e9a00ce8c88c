"""EvoTorch's searchers that keep a population: a genetic algorithm, CoSyNE and MAP-Elites."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from evoweights.catalog import part, setting
from evoweights.improvers import Moment, NonFiniteStep
from evoweights_evotorch.searcher import Generation, Searcher
from evoweights_evotorch.spaces import Space, Subspace

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from evoweights_evotorch.problem import CallbackProblem


@dataclass(frozen=True)
class PopulationSearcher(Searcher, ABC):
    """Keeps a population of vectors with their last losses; the individual becomes the best of them.

    The first population has the individual as it is, and noise around it.
    """

    stdev_init: float = setting(0.02, "standard deviation of the first population around the individual", minimum=0.0)

    @abstractmethod
    def algorithm(self, problem: "CallbackProblem", *, is_first: bool) -> Any:
        """The searcher of EvoTorch's; ``is_first`` False: its population has been evaluated."""

    def features(self, start: "Tensor", moment: Moment) -> "Callable[[Tensor], Tensor] | None":
        """What vectors are told apart by besides their loss, if anything."""
        del start, moment  # unused: nothing
        return None

    def facts(self, algorithm: Any) -> Mapping[str, Any]:
        """What else there is to report."""
        del algorithm  # unused: nothing
        return {}

    def generation(
        self, state: "Mapping[str, Tensor]", losses: "Callable[[Tensor], Tensor]", moment: Moment
    ) -> Generation:
        """One step of EvoTorch's, in an object that is given the population and asked for it."""
        from evoweights_evotorch.problem import CallbackProblem, plain

        centre, kept = state["centre"], state.get("population")
        start = state.get("start", centre)

        def first(values: "Tensor", generator: "torch.Generator") -> None:
            if kept is not None:
                values.copy_(kept)
                return
            values.normal_(generator=generator).mul_(self.stdev_init).add_(centre)
            values[0] = centre

        features = self.features(start, moment)
        problem = CallbackProblem(losses, first, centre=centre, noise=moment.noise, features=features)
        algorithm = self.algorithm(problem, is_first=kept is None)
        if kept is not None:
            algorithm.population.set_evals(state["losses"])
        algorithm.step()
        values, found = plain(algorithm.population.values), plain(algorithm.population.evals)
        best = int(found[:, 0].argmin())
        if not math.isfinite(float(found[best, 0])):
            raise NonFiniteStep(f"no member of the new population of {self.name} has a finite loss")
        made = {"centre": values[best].clone(), "population": values, "losses": found}
        return Generation(made if features is None else made | {"start": start}, self.facts(algorithm))


@dataclass(frozen=True)
class GeneticAlgorithm(PopulationSearcher):
    """Tournaments, crossover and Gaussian mutation in a population around the individual."""

    name: ClassVar[str] = "genetic_algorithm"
    source: ClassVar[str] = "Luke 2013, Essentials of Metaheuristics; SBX: Deb and Agrawal 1995; EvoTorch 0.6"

    popsize: int = setting(32, "members of a generation", minimum=2)
    crossover: str = setting(
        "two_point",
        "how two parents make two children: cut once or twice, simulated binary crossover, or not at all",
        choices=("none", "one_point", "two_point", "sbx"),
    )
    tournament_size: int = setting(4, "members of which the best becomes a parent", minimum=1)
    eta: float = setting(10.0, "crowding index of sbx; large values make children like their parents", minimum=0.0)
    mutation_stdev: float = setting(0.01, "standard deviation of the mutation", minimum=0.0)
    mutation_probability: float = setting(1.0, "probability that a number is mutated", minimum=0.0, maximum=1.0)
    elitist: bool = setting(True, "whether parents compete with their children")
    re_evaluate: bool = setting(
        True, "whether parents are scored again in every generation; else their losses are of other batches"
    )

    def algorithm(self, problem: "CallbackProblem", *, is_first: bool) -> Any:
        """EvoTorch's GeneticAlgorithm."""
        from evotorch import operators
        from evotorch.algorithms import GeneticAlgorithm as Algorithm

        chosen: list[Any] = []
        if self.crossover == "sbx":
            chosen.append(
                operators.SimulatedBinaryCrossOver(problem, tournament_size=self.tournament_size, eta=self.eta)
            )
        elif self.crossover != "none":
            made = {"one_point": operators.OnePointCrossOver, "two_point": operators.TwoPointCrossOver}[self.crossover]
            chosen.append(made(problem, tournament_size=self.tournament_size))
        chosen.append(
            operators.GaussianMutation(
                problem, stdev=self.mutation_stdev, mutation_probability=self.mutation_probability
            )
        )
        algorithm = Algorithm(
            problem, operators=chosen, popsize=self.popsize, elitist=self.elitist, re_evaluate=self.re_evaluate
        )
        algorithm._first_iter = is_first
        return algorithm

    def needed_bytes(self, length: int) -> int:
        """10.2 populations, and the one that is kept."""
        return math.ceil(4 * 11.2 * self.popsize * length)


@dataclass(frozen=True)
class Cosyne(PopulationSearcher):
    """CoSyNE: every number of the vector is a subpopulation of its own, and they are shuffled against each other."""

    name: ClassVar[str] = "cosyne"
    source: ClassVar[str] = (
        "Gomez et al. 2008, Accelerated Neural Evolution through Cooperatively Coevolved Synapses; EvoTorch 0.6"
    )

    popsize: int = setting(32, "members of a generation; a quarter of them are parents", minimum=4)
    tournament_size: int = setting(4, "members of which the best becomes a parent", minimum=1)
    mutation_stdev: float | None = setting(0.01, "standard deviation of the mutation; null is none", minimum=0.0)
    mutation_probability: float | None = setting(
        None, "probability that a number is mutated; null is 1", minimum=0.0, maximum=1.0
    )
    permute_all: bool = setting(False, "whether all members are shuffled, and not rather the bad ones")
    num_elites: int | None = setting(None, "best members that live on as they are; null is none", minimum=0)
    elitism_ratio: float | None = setting(None, "their share of the members, instead", minimum=0.0, maximum=1.0)
    eta: float | None = setting(
        None, "crowding index of simulated binary crossover; null cuts parents once", minimum=0.0
    )
    num_children: int | None = setting(None, "children, an even number; null is half of the members", minimum=2)

    def __post_init__(self) -> None:
        """Refuse settings that exclude each other."""
        super().__post_init__()
        if self.num_elites is not None and self.elitism_ratio is not None:
            raise ValueError("num_elites, elitism_ratio: both are given; give one of them")
        if self.num_elites is not None and self.num_elites > self.popsize:
            raise ValueError(
                f"num_elites: found {self.num_elites}, but there are only {self.popsize} members (popsize)"
            )
        if self.mutation_stdev is None and self.mutation_probability is not None:
            raise ValueError("mutation_probability: mutation_stdev is null, so there is no mutation")
        if self.num_children is not None and self.num_children % 2:
            raise ValueError(f"num_children: found {self.num_children}; children come in pairs, so it must be even")

    def algorithm(self, problem: "CallbackProblem", *, is_first: bool) -> Any:
        """EvoTorch's Cosyne."""
        from evotorch.algorithms import Cosyne as Algorithm

        algorithm = Algorithm(
            problem,
            popsize=self.popsize,
            tournament_size=self.tournament_size,
            mutation_stdev=self.mutation_stdev,
            mutation_probability=self.mutation_probability,
            permute_all=self.permute_all,
            num_elites=self.num_elites,
            elitism_ratio=self.elitism_ratio,
            eta=self.eta,
            num_children=self.num_children,
        )
        algorithm._first_generation = is_first
        return algorithm

    def needed_bytes(self, length: int) -> int:
        """14.7 populations, and the one that is kept."""
        return math.ceil(4 * 15.7 * self.popsize * length)


@dataclass(frozen=True)
class MapElites(PopulationSearcher):
    """MAP-Elites: keeps the best vector of every cell of a grid, so that good ones of many kinds survive.

    A cell says how far a vector is from the start (in root mean square), and how far along one random direction of length 1,
    the same for the whole run. The outermost cells have no end. The individual becomes the best of all cells.
    """

    name: ClassVar[str] = "map_elites"
    source: ClassVar[str] = "Mouret and Clune 2015, arXiv 1504.04909; EvoTorch 0.6"

    space: Space = part("space", Subspace, "what the searcher's vector is")
    stdev_init: float = setting(1.0, "standard deviation of the first population around the individual", minimum=0.0)
    bins: int = setting(5, "rows and columns of the grid, whose cells are the members of a generation", minimum=3)
    extent: float = setting(2.0, "distance and position (either way) where the outermost cells begin", minimum=1e-12)
    mutation_stdev: float = setting(0.3, "standard deviation of the mutation", minimum=0.0)
    mutation_probability: float = setting(1.0, "probability that a number is mutated", minimum=0.0, maximum=1.0)
    re_evaluate: bool = setting(
        True, "whether the elites are scored again in every generation; else their losses are of other batches"
    )

    def features(self, start: "Tensor", moment: Moment) -> "Callable[[Tensor], Tensor]":
        """Distance from the start, and position along a direction."""
        import torch

        from evoweights_kernels import normals

        axis = normals(moment.fixed.seed, moment.fixed.stream("axis"), len(start)).to(start.device)
        axis /= axis.norm()

        def described(values: "Tensor") -> "Tensor":
            moved = values - start
            return torch.stack([moved.norm(dim=1) / math.sqrt(len(start)), moved @ axis], dim=1)

        return described

    def algorithm(self, problem: "CallbackProblem", *, is_first: bool) -> Any:
        """EvoTorch's MAPElites."""
        import torch
        from evotorch.algorithms import MAPElites as Algorithm
        from evotorch.operators import GaussianMutation

        grid = Algorithm.make_feature_grid(
            lower_bounds=[0.0, -self.extent],
            upper_bounds=[self.extent, self.extent],
            num_bins=self.bins,
            dtype=torch.float64,
            device=problem.device,
        )
        mutation = GaussianMutation(problem, stdev=self.mutation_stdev, mutation_probability=self.mutation_probability)
        algorithm = Algorithm(problem, operators=[mutation], feature_grid=grid, re_evaluate=self.re_evaluate)
        algorithm._first_iter = is_first
        return algorithm

    def facts(self, algorithm: Any) -> Mapping[str, Any]:
        """Cells that hold something."""
        return {"cells": int(algorithm.filled.sum())}

    def needed_bytes(self, length: int) -> int:
        """All members and children for every cell, and some populations."""
        cells = self.bins**2
        return 4 * (2 * cells + 7) * cells * length
