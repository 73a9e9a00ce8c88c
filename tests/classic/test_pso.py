"""Particle swarm: EOE's form without velocity, and the one with velocity and personal best, on every target."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from evoweights.founding import found
from evoweights.mounted import Blueprint
from evoweights.scoring import evaluate
from evoweights.seeds import Noise
from evoweights.testing.populations import (
    BACKENDS,
    CPU,
    bits,
    flat_layout,
    mean_z,
    move,
    population_of,
    scene_of,
    share_z,
    vary_,
)
from evoweights.testing.strategies import DTYPES, SIZES, genes_of
from evoweights_classic import PSO

every_target = pytest.mark.parametrize("backend", BACKENDS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
every_size = pytest.mark.parametrize("size", SIZES)
few = settings(max_examples=6)

N = 2**18
VELOCITY, BEST = "pso.velocity", "pso.personal_best"
Q3 = 0.5 * math.erfc(3 / math.sqrt(2))
"""The share of a normal distribution beyond three standard deviations, on one side."""


def swarm(**coefficients):
    """A swarm move with memory: inertia 0.729 unless told otherwise."""
    return PSO(**{"inertia": 0.729, "cognitive": 1.494, "social": 1.494, **coefficients})


def vectors(size, dtype=torch.float32, seed=0, share=0.0):
    """Target, personal best, leader and velocity."""
    drawn = [genes_of([seed, row], size, dtype, extreme_share=share) for row in range(3)]
    return *drawn, genes_of([seed, 3], size, torch.float32, extreme_share=share)


def step(operator, x, best, leader, velocity, *, seed=1, backend="reference"):
    """The new genes and velocity."""
    made = move(operator, x, leader, slots={VELOCITY: velocity, BEST: best}, seed=seed, backend=backend)
    assert bits(made.source) == bits(leader)
    assert bits(made.slots[BEST]) == bits(best)
    return made.genes, made.slots[VELOCITY]


# With velocity


@every_target
@every_dtype
@every_size
def test_without_any_pull_nothing_moves_and_the_velocity_is_zero(backend, dtype, size):
    """P01; the coefficient that is not zero has nothing to pull on."""
    x, _, _, velocity = vectors(size, dtype, share=0.3)
    genes, after = step(swarm(inertia=0.0, social=0.0), x, x, x, velocity, backend=backend)
    assert bits(genes) == bits(x)
    assert not after.any()


@every_target
@every_dtype
@few
@given(seed=st.integers(0, 2**32), inertia=st.floats(0, 2), cognitive=st.floats(0.01, 4), social=st.floats(0, 4))
def test_a_particle_at_both_attractors_stays(backend, dtype, seed, inertia, cognitive, social):
    """P02: bitwise, for all coefficients, seeds and extreme numbers."""
    x = genes_of(seed, 1025, dtype)
    operator = swarm(inertia=inertia, cognitive=cognitive, social=social)
    genes, velocity = step(operator, x, x, x, torch.zeros(1025), seed=seed, backend=backend)
    assert bits(genes) == bits(x)
    assert not velocity.any()


@every_target
@every_dtype
def test_with_inertia_alone_the_particle_flies_on(backend, dtype):
    """P03; bfloat16 is rounded at the end."""
    x, best, leader, velocity = vectors(4097, dtype)
    operator = swarm(inertia=1.0, cognitive=0.0, social=0.0, rounding="nearest")
    genes, after = step(operator, x, best, leader, velocity, backend=backend)
    assert bits(after) == bits(velocity)
    assert bits(genes) == bits((x.float() + velocity).to(dtype))


@every_target
@every_dtype
@few
@given(seed=st.integers(0, 2**32), limit=st.sampled_from((0.0, 1e-3, 0.5, 100.0)), share=st.sampled_from((0.0, 0.5)))
def test_the_velocity_never_exceeds_its_limit(backend, dtype, seed, limit, share):
    """P04, and G14: no NaN from extreme numbers."""
    x, best, leader, velocity = vectors(1025, dtype, seed=seed, share=share)
    genes, after = step(swarm(max_velocity=limit), x, best, leader, velocity, seed=seed, backend=backend)
    assert bool((after.abs() <= limit).all())
    assert not genes.isnan().any()
    if limit == 0.0:
        assert bits(genes) == bits(x)


@every_target
def test_the_velocity_is_linear_in_its_three_causes(backend):
    """P05: the causes one by one add up to all of them, to rounding."""
    zero, x = torch.zeros(4097), genes_of(5, 4097, torch.float32, extreme_share=0.0)
    _, best, leader, velocity = (each.clamp(-10, 10) for each in vectors(4097))
    x = x.clamp(-10, 10)

    def velocity_of(best, leader, velocity):
        return step(swarm(), x, best, leader, velocity, backend=backend)[1].double()

    parts = velocity_of(best, x, zero) + velocity_of(x, leader, zero) + velocity_of(x, x, velocity)
    assert bool(((velocity_of(best, leader, velocity) - parts).abs() < 1e-4).all())
    doubled = velocity_of(x, x, velocity * 2)
    assert bits(doubled) == bits(velocity_of(x, x, velocity) * 2)


@every_target
@every_dtype
def test_a_move_scales_with_everything_in_it(backend, dtype):
    """P06: bitwise for powers of two, however bfloat16 is rounded."""
    once = step(swarm(), *vectors(4097, dtype), backend=backend)
    twice = step(swarm(), *(each * 4.0 for each in vectors(4097, dtype)), backend=backend)
    assert [bits(each) for each in twice] == [bits(each * 4.0) for each in once]


@every_target
def test_a_move_does_not_depend_on_the_origin(backend):
    """P06: whole numbers in float32, so that moving the origin rounds nothing."""
    x, best, leader = (torch.randint(-50, 50, (4097,), generator=Noise(i).generator()).float() for i in range(3))
    velocity = torch.zeros(4097)
    here = step(swarm(), x, best, leader, velocity, backend=backend)
    there = step(swarm(), x + 64, best + 64, leader + 64, velocity, backend=backend)
    assert bits(there[1]) == bits(here[1])
    assert bool(((there[0] - 64 - here[0]).abs() < 1e-4).all())


@pytest.mark.parametrize("operator", [swarm(), PSO()], ids=["swarm", "eoe"])
@every_target
@every_dtype
def test_a_gene_moves_by_itself(operator, backend, dtype):
    """P07: changing one gene changes that gene's move only."""
    x, best, leader, velocity = vectors(4097, dtype)
    slots = {VELOCITY: velocity, BEST: best} if operator.has_memory else None
    before = move(operator, x, leader, slots=slots, backend=backend).genes
    x[1234] += 7.0
    after = move(operator, x, leader, slots=slots, backend=backend).genes
    assert (before != after).nonzero().flatten().tolist() == [1234]


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


@every_target
def test_the_mean_move_is_inertia_plus_half_the_pulls(backend):
    """P09."""
    x, best, leader, velocity = (torch.full((N,), each) for each in (1.0, 3.0, -2.0, 0.5))
    genes, _ = step(swarm(inertia=0.7, cognitive=1.2, social=0.8), x, best, leader, velocity, backend=backend)
    expected = 1.0 + 0.7 * 0.5 + 0.6 * (3.0 - 1.0) + 0.4 * (-2.0 - 1.0)
    assert abs(mean_z(genes, expected)) < 5


def test_usual_coefficients_converge_and_too_large_ones_diverge():
    """P11: on a fixed target, within and outside Poli's region of stability for random r1 and r2."""
    for inertia, pull, converges in ((0.729, 1.494, True), (0.4, 1.0, True), (1.0, 3.0, False)):
        x, target, velocity = torch.full((1024,), 5.0), torch.ones(1024), torch.zeros(1024)
        for seed in range(120):
            x, velocity = step(
                swarm(inertia=inertia, cognitive=pull, social=pull), x, target, target, velocity, seed=seed
            )
        away = float((x - target).abs().median())
        assert away < 1e-3 if converges else away > 1e3


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
@every_dtype
@few
@given(seed=st.integers(0, 2**32), social=st.floats(0, 4))
def test_a_follower_equal_to_the_leader_stays(backend, dtype, seed, social):
    """P12."""
    x = genes_of(seed, 1025, dtype)
    assert bits(move(PSO(social=social), x, x.clone(), seed=seed, backend=backend).genes) == bits(x)


@every_target
@every_dtype
@every_size
def test_a_follower_lands_between_its_place_and_its_mirror_image(backend, dtype, size):
    """P12: between x and 2 g - x, to rounding."""
    x, leader = (genes_of(each, size, dtype, extreme_share=0.0) for each in (1, 2))
    made = move(PSO(), x, leader, backend=backend)
    way, sizes = leader.double() - x.double(), x.double().abs() + leader.double().abs()
    slack = 1e-5 * way.abs() + 2 * torch.finfo(dtype).eps * sizes
    low, high = torch.minimum(x.double(), x.double() + 2 * way), torch.maximum(x.double(), x.double() + 2 * way)
    assert bool(((made.genes.double() >= low - slack) & (made.genes.double() <= high + slack)).all())
    assert bits(made.source) == bits(leader)


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


def test_two_particles_draw_independently():
    """P08: across experts."""
    population = population_of(flat_layout(N), 3)
    for row in range(3):
        population.row(row).fill_(1.0 if row else 2.0)
    vary_(population, PSO())
    both = torch.stack([population.row(1), population.row(2)])
    assert abs(float(torch.corrcoef(both)[0, 1])) < 5 / N**0.5
