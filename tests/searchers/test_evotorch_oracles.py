"""EvoTorch as a witness: its searchers left to themselves, and its operators where they mean what ours do."""

import math

import numpy as np
import pytest
import torch
from evotorch import Problem, SolutionBatch, algorithms, operators
from evotorch.operators.functional import tournament
from evotorch.tools.ranking import rank
from searchers_under_test import moment, mount_net
from torch import nn

from evoweights.seeds import Noise, seeded
from evoweights.testing.populations import move
from evoweights_classic.mutation import Mutation
from evoweights_classic.selections import Tournament
from evoweights_es.member import Member
from evoweights_es.shaping import CentredRank, ZScore
from evoweights_evotorch.cmaes import CMAES
from evoweights_evotorch.gaussians import CEM, SNES, XNES
from evoweights_evotorch.pgpe import PGPE
from evoweights_evotorch.populations import Cosyne, GeneticAlgorithm, MapElites
from evoweights_evotorch.spaces import Genome

LENGTH, GENERATIONS = 12, 8
SCALES = torch.arange(1, LENGTH + 1, dtype=torch.float64)


def losses(values):
    """A bowl of different widths, float64 ``[n]``."""
    return (values.double().square() * SCALES).sum(1)


class Bowl(nn.Module):
    """One matrix."""

    def __init__(self):
        super().__init__()
        with seeded(Noise(3, "bowl")):
            self.x = nn.Parameter(torch.randn(1, LENGTH))


class BowlFeed:
    """The loss of the mounted point."""

    def draw(self, mounted):
        self.mounted = mounted
        return self

    @torch.no_grad()
    def scores(self, copies=1):
        return losses(self.mounted.module.x)


class Witness(Problem):
    """The same losses, as a problem of EvoTorch's own making."""

    def __init__(self, *, stdev=0.0, features=None):
        width = 0 if features is None else 2
        super().__init__(
            "min", solution_length=LENGTH, dtype=torch.float32, eval_dtype=torch.float64, eval_data_length=width, seed=1
        )
        self.stdev, self.features = stdev, features

    def _fill(self, values):
        values[:] = torch.randn(values.shape, generator=self.generator) * self.stdev + Bowl().x.detach()
        values[0] = Bowl().x.detach()[0]

    def _evaluate_batch(self, batch):
        values = batch.values.as_subclass(torch.Tensor)
        extra = () if self.features is None else (self.features(values).double(),)
        batch.set_evals(losses(values), *extra)


def seed(problem, number):
    """The witness draws what our step of this number draws."""
    problem.manual_seed(moment(number).noise.torch_seed())


def centres(searcher):
    """The points that our searcher goes through."""
    mounted, made = mount_net(Bowl(), searcher), []
    for number in range(1, GENERATIONS + 1):
        searcher.step(mounted, BowlFeed(), moment(number))
        made.append(mounted.module.x.detach()[0].clone())
    return torch.stack(made)


START = {"center_init": Bowl().x.detach()[0], "stdev_init": 0.3}
GAUSSIANS = {
    "snes": (SNES(stdev_init=0.3), lambda problem: algorithms.SNES(problem, **START)),
    "snes, other settings": (
        SNES(stdev_init=0.3, popsize=10, stdev_learning_rate=2.0, ranking="centered", stdev_max_change=0.05, optimizer="clipup",
             center_learning_rate=0.1, optimizer_config={"max_speed": 0.15}),
        lambda problem: algorithms.SNES(problem, **START, popsize=10, stdev_learning_rate=2.0, ranking_method="centered",
                                        stdev_max_change=0.05, optimizer="clipup", center_learning_rate=0.1,
                                        optimizer_config={"max_speed": 0.15}),
    ),
    "xnes": (XNES(space=Genome(), stdev_init=0.3), lambda problem: algorithms.XNES(problem, **START)),
    "cem": (
        CEM(stdev_init=0.3, popsize=16, stdev_min=0.01),
        lambda problem: algorithms.CEM(problem, popsize=16, parenthood_ratio=0.25, stdev_min=0.01, **START),
    ),
    "pgpe": (
        PGPE(stdev_init=0.3, popsize=10, center_learning_rate=0.2),
        lambda problem: algorithms.PGPE(problem, popsize=10, center_learning_rate=0.2, stdev_learning_rate=0.1, **START),
    ),
    "pgpe, adam, radius": (
        PGPE(radius_init=1.0, popsize=9, symmetric=False, optimizer="adam", center_learning_rate=0.1, ranking="normalized"),
        lambda problem: algorithms.PGPE(problem, popsize=9, symmetric=False, optimizer="adam", center_learning_rate=0.1,
                                        stdev_learning_rate=0.1, ranking_method="normalized", radius_init=1.0,
                                        center_init=START["center_init"]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GAUSSIANS)
def test_a_gaussian_goes_where_evotorchs_own_loop_goes(name):
    """Whose centre after a step is that of the losses of the step before."""
    searcher, made = GAUSSIANS[name]
    problem = Witness()
    algorithm, found = made(problem), []
    for number in range(1, GENERATIONS + 2):
        seed(problem, number)
        algorithm.step()
        found.append(torch.as_tensor(algorithm.status["center"]).clone())
    torch.testing.assert_close(
        centres(searcher), torch.stack(found[1:]).as_subclass(torch.Tensor), rtol=2e-6, atol=2e-7
    )


def axis():
    from evoweights_kernels import normals

    found = normals(moment(1).fixed.seed, moment(1).fixed.stream("axis"), LENGTH)
    return found / found.norm()


def described(values):
    moved = values - Bowl().x.detach()
    return torch.stack([moved.norm(dim=1) / math.sqrt(LENGTH), moved @ axis()], dim=1)


def genetic(problem):
    chosen = [operators.TwoPointCrossOver(problem, tournament_size=4), operators.GaussianMutation(problem, stdev=0.05)]
    return algorithms.GeneticAlgorithm(problem, operators=chosen, popsize=10)


def elites(problem):
    grid = algorithms.MAPElites.make_feature_grid([0.0, -0.6], [0.6, 0.6], 4, dtype=torch.float64)
    return algorithms.MAPElites(problem, operators=[operators.GaussianMutation(problem, stdev=0.1)], feature_grid=grid)


KEEPERS = {
    "cmaes": (CMAES(space=Genome(), stdev_init=0.3), {}, lambda problem: algorithms.CMAES(problem, **START)),
    "cmaes, separable": (
        CMAES(space=Genome(), stdev_init=0.3, separable=True, popsize=9, active=False),
        {},
        lambda problem: algorithms.CMAES(problem, separable=True, popsize=9, active=False, **START),
    ),
    "genetic_algorithm": (GeneticAlgorithm(popsize=10, stdev_init=0.3, mutation_stdev=0.05), {"stdev": 0.3}, genetic),
    "cosyne": (
        Cosyne(popsize=12, stdev_init=0.3, mutation_stdev=0.05, num_elites=2),
        {"stdev": 0.3},
        lambda problem: algorithms.Cosyne(problem, popsize=12, tournament_size=4, mutation_stdev=0.05, num_elites=2),
    ),
    "map_elites": (
        MapElites(space=Genome(), stdev_init=0.3, bins=4, extent=0.6, mutation_stdev=0.1),
        {"stdev": 0.3, "features": described},
        elites,
    ),
}


@pytest.mark.parametrize("name", KEEPERS)
def test_a_searcher_that_is_made_anew_for_every_step_is_one_that_lives_on(name):
    searcher, settings, made = KEEPERS[name]
    problem = Witness(**settings)
    seed(problem, 1)
    algorithm, found = made(problem), []
    for number in range(1, GENERATIONS + 1):
        if number > 1 or name.startswith("cmaes"):  # which draws no first population
            seed(problem, number)
        algorithm.step()
        if isinstance(algorithm, algorithms.CMAES):
            found.append(algorithm.m.clone())
        else:
            population = algorithm.population
            found.append(population.values.as_subclass(torch.Tensor)[population.evals[:, 0].argmin()].clone())
    torch.testing.assert_close(centres(searcher), torch.stack(found), rtol=0, atol=0)


def drawn(searcher, number, centre, stdev):
    """The members of a step by hand: the centre and noise of the step's seed."""
    generator = torch.Generator().manual_seed(moment(number).noise.torch_seed())
    return centre + stdev * torch.randn(searcher.members(LENGTH), LENGTH, generator=generator)


def test_a_step_of_snes_is_that_of_the_paper():
    searcher = SNES(stdev_init=0.3, popsize=8)
    centre, stdev = Bowl().x.detach()[0].double(), torch.full((LENGTH,), 0.3, dtype=torch.float64)
    for number, made in enumerate(centres(searcher)[:3], 1):
        members = drawn(searcher, number, centre.float(), stdev.float()).double()
        raw = torch.clamp(math.log(8 / 2 + 1) - torch.log(torch.arange(1.0, 9.0, dtype=torch.float64)), min=0)
        utilities = (raw / raw.sum() - 1 / 8)[losses(members).argsort().argsort()]
        noise = (members - centre) / stdev
        centre = centre + stdev * (utilities @ noise)
        rate = 0.2 * (3 + math.log(LENGTH)) / math.sqrt(LENGTH)
        stdev = stdev * torch.exp(rate / 2 * (utilities @ (noise.square() - 1)))
        torch.testing.assert_close(made.double(), centre, rtol=1e-5, atol=1e-6)


def test_a_step_of_cem_fits_a_gaussian_to_the_best():
    searcher = CEM(stdev_init=0.3, popsize=16, parenthood_ratio=0.25)
    centre, stdev = Bowl().x.detach()[0], torch.full((LENGTH,), 0.3)
    for number, made in enumerate(centres(searcher)[:3], 1):
        members = drawn(searcher, number, centre, stdev)
        best = members[losses(members).argsort()[:4]]
        centre, stdev = best.mean(0), best.std(0)
        torch.testing.assert_close(made, centre, rtol=1e-5, atol=1e-6)


FITNESS = torch.from_numpy(np.random.default_rng(1).normal(size=37))
MEMBERS = [Member(index, 1.0) for index in range(37)]


def test_our_centred_ranks_are_evotorchs():
    ours = CentredRank(bound=0.5).weights(FITNESS[:, None], MEMBERS)
    torch.testing.assert_close(ours, rank(FITNESS, "centered", higher_is_better=True))
    torch.testing.assert_close(ours + 0.5, rank(FITNESS, "linear", higher_is_better=True))


def test_our_z_scores_are_evotorchs_but_for_the_degree_of_freedom():
    theirs = rank(FITNESS, "normalized", higher_is_better=True) * math.sqrt(37 / 36)
    torch.testing.assert_close(ZScore().weights(FITNESS[:, None], MEMBERS), theirs, rtol=1e-6, atol=1e-7)


def farthest(left, right):
    """The Kolmogorov-Smirnov distance of two samples, times the root of their effective size: 1.95 is passed once in 1,000."""
    points = np.concatenate([left, right])
    shares = [np.searchsorted(np.sort(each), points, side="right") / len(each) for each in (left, right)]
    return np.abs(shares[0] - shares[1]).max() * math.sqrt(len(left) * len(right) / (len(left) + len(right)))


@pytest.mark.parametrize("rate", [0.3, 1.0])
def test_our_mutation_is_distributed_as_evotorchs(rate):
    count = 20_000
    problem = Problem("min", lambda x: x.sum(), solution_length=count, initial_bounds=(0, 0), seed=4)
    batch = SolutionBatch(problem, popsize=1, empty=True)
    batch.set_values(torch.zeros(1, count))
    theirs = operators.GaussianMutation(problem, stdev=0.7, mutation_probability=rate)(batch).values[0]
    zeros = torch.zeros(count)
    ours = move(
        Mutation(sigma=0.7, rate=rate, relative_to="nothing", direction="current_to_others"), zeros, zeros
    ).genes
    ours, theirs = ours.numpy(), theirs.as_subclass(torch.Tensor).numpy()
    assert farthest(ours, theirs) < 1.95
    assert farthest(ours * 1.1, theirs) > 1.95 or rate < 1  # so small a difference would be seen
    touched = (ours != 0).sum(), (theirs != 0).sum()
    assert abs(touched[0] - touched[1]) < 5 * math.sqrt(2 * count * rate * (1 - rate)) + 1


def test_our_tournament_is_won_as_often_as_evotorchs():
    """By its first parents; its second ones are drawn from those that the first was not drawn from."""
    fitness, rounds, size = [3.0, 1.0, 4.0, 1.5, 9.0, 2.6], 400, 3
    ours = np.zeros(6)
    for number in range(rounds):
        chosen = Tournament(contestants=size, elites=0).choose(fitness, Noise(number, "tournament"))
        ours += np.bincount(chosen, minlength=6)
    evals, parents = torch.tensor(fitness), 2 * 6 * rounds
    with seeded(Noise(1, "theirs")):
        winners = tournament(
            *(evals[:, None], evals),
            num_tournaments=parents,
            tournament_size=size,
            objective_sense="min",
            return_indices=True,
        )
    theirs = np.bincount(torch.as_tensor(winners)[: 6 * rounds].numpy(), minlength=6)
    place = np.argsort(np.argsort(fitness))
    expected = 6 * rounds * (((6 - place) / 6) ** size - ((5 - place) / 6) ** size)
    for each in (ours, theirs):
        assert ((each - expected) ** 2 / expected).sum() < 20.5  # chi-square with 5 degrees of freedom, 1 in 1,000
