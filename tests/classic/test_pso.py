"""Particle swarm: the law of its pulls, its memory, and that it finds a minimum. The rest is the conformance kit's."""

import math

import pytest
import torch
from torch import nn

from evoweights.founding import found
from evoweights.mounted import Blueprint
from evoweights.scoring import evaluate
from evoweights.seeds import Noise
from evoweights.testing.populations import (
    BACKENDS,
    CPU,
    bits,
    mean_z,
    move,
    scene_of,
    share_z,
    vary_,
)
from evoweights_classic import PSO

every_target = pytest.mark.parametrize("backend", BACKENDS)

N = 2**18
VELOCITY, BEST = "pso.velocity", "pso.personal_best"
Q3 = 0.5 * math.erfc(3 / math.sqrt(2))
"""The share of a normal distribution beyond three standard deviations, on one side."""


def swarm(**coefficients):
    """A swarm move with memory: inertia 0.729 unless told otherwise."""
    return PSO(**{"inertia": 0.729, "cognitive": 1.494, "social": 1.494, **coefficients})


def step(operator, x, best, leader, velocity, *, seed=1, backend="reference"):
    """The new genes and velocity."""
    made = move(operator, x, leader, slots={VELOCITY: velocity, BEST: best}, seed=seed, backend=backend)
    assert bits(made.source) == bits(leader)
    assert bits(made.slots[BEST]) == bits(best)
    return made.genes, made.slots[VELOCITY]


# With velocity


@every_target
def test_the_pulls_are_uniform_independent_and_differ_from_gene_to_gene(backend):
    """P08: r1 and r2 are recovered from moves with one cause of size 1."""
    zero, one = torch.zeros(N), torch.ones(N)
    _, r1 = step(swarm(cognitive=1.0, social=0.0), zero, one, zero, zero, backend=backend)
    _, r2 = step(swarm(cognitive=1.0, social=1.0), zero, zero, one, zero, backend=backend)
    for r in (r1, r2):
        assert float(r.min()) >= 0.0 and float(r.max()) < 1.0
        assert abs(mean_z(r, 0.5)) < 5
        assert abs(mean_z(r.double().square(), 1 / 3)) < 5
        for quarter in range(4):
            inside = float(((r >= quarter / 4) & (r < (quarter + 1) / 4)).sum())
            assert abs(share_z(inside, N, 0.25)) < 5
    assert abs(float(torch.corrcoef(torch.stack([r1, r2]))[0, 1])) < 5 / N**0.5
    assert abs(float(torch.corrcoef(torch.stack([r1[1:], r1[:-1]]))[0, 1])) < 5 / N**0.5


# The personal best


class Bowl:
    """A task in name: the fitness is the mean square of the weights, or what the test says next."""

    def __init__(self):
        self.told = []

    def evaluate(self, module):
        return self.told.pop(0) if self.told else float(module.weight.detach().square().mean())


def test_the_personal_best_moves_only_to_strictly_better_weights(tmp_path):
    """P10: it is a copy, a NaN never becomes it, and its fitness never gets worse."""
    module, task = nn.Linear(4, 4, bias=False), Bowl()
    blueprint = Blueprint(module, 1, initialise=lambda row: None, is_shared=lambda name: False)
    population, mounted = found(
        blueprint, improvers=[], operators=[swarm()], noise=Noise(1), device=CPU, folder=tmp_path
    )
    assert bits(population.row(0, BEST)) == bits(population.row(0))
    best = None
    for weight, fitness in ((3.0, 3.0), (2.0, 2.0), (9.0, 2.0), (8.0, 5.0), (7.0, math.nan), (1.0, 1.0)):
        population.row(0).fill_(weight)
        population.rewritten(0, parents=[], generation=0)
        task.told = [fitness]
        evaluate(population, mounted, task)
        best = (fitness, weight) if best is None or fitness < best[0] else best
        assert population.individuals[0].best_fitness == best[0]
        assert bool((population.row(0, BEST) == best[1]).all())
        assert population.individuals[0].failed == math.isnan(fitness)


def test_the_swarm_finds_the_minimum_of_a_bowl(tmp_path):
    """All of it together: velocity, personal best and leader, forty generations of six particles."""
    module = nn.Linear(2, 2, bias=False)
    blueprint = Blueprint(module, 6, initialise=lambda row: module.weight.normal_(0, 2), is_shared=lambda name: False)
    operator = swarm(direction="best_to_others")
    population, mounted = found(
        blueprint, improvers=[], operators=[operator], noise=Noise(1), device=CPU, folder=tmp_path
    )
    evaluate(population, mounted, Bowl())
    first = min(population.fitness())
    for generation in range(40):
        scores = tuple(population.fitness())
        vary_(population, operator, scene=scene_of(6, scores=scores), generation=generation)
        evaluate(population, mounted, Bowl())
    assert min(each.best_fitness for each in population.individuals) < 0.05 * first


# EOE's form


@every_target
def test_the_mean_step_is_the_distance_and_one_gene_in_740_stays(backend):
    """P12: mean 1.000, untouched 0.00135, and as many beyond the mirror image are cut off there."""
    x, leader = torch.full((N,), 1.0), torch.full((N,), 3.0)
    genes = move(PSO(), x, leader, backend=backend).genes
    assert abs(mean_z((genes - 1.0) / 2.0, 1.0)) < 5
    assert abs(share_z(float((genes == 1.0).sum()), N, Q3)) < 5
    assert abs(share_z(float((genes == 5.0).sum()), N, Q3)) < 5
    root = math.sqrt(((1 - 2 * Q3) - 6 * math.exp(-4.5) / math.sqrt(2 * math.pi) + 18 * Q3) / 9)
    assert root == pytest.approx(0.3325, abs=1e-4)
    assert abs(mean_z(((genes - 3.0) / 2.0).double().square(), root**2)) < 5


@every_target
@pytest.mark.parametrize("social", [0.0, 0.5, 1.0])
def test_the_step_is_proportional_to_the_social_pull(backend, social):
    x, leader = torch.zeros(2**16), torch.ones(2**16)
    full = move(PSO(social=2.0), x, leader, backend=backend).genes
    part = move(PSO(social=social), x, leader, backend=backend).genes
    assert bits(part) == bits(full * (social / 2))


def test_without_memory_no_state_is_kept():
    assert PSO().slots == ()
    assert [slot.name for slot in swarm().slots] == [VELOCITY, BEST]
    assert [slot.role for slot in PSO(inertia=0.1).slots] == ["state", "personal_best"]
