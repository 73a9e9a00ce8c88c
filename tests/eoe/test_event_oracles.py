"""One published event, swarm step and crossover towards the head, on more than a million genes."""

import math

import pytest
import torch
from torch import nn

from evoweights.founding import found
from evoweights.mounted import Blueprint
from evoweights.seeds import Noise
from evoweights.testing.populations import CPU, bits, inside, mean_z, scene_of, share_z, vary_
from evoweights_classic import PSO, AdamW, Crossover

HEAD, SIDE = 1, 1024
Q3 = 0.5 * math.erfc(3 / math.sqrt(2))
SQUARE = ((1 - 2 * Q3) - 6 * math.exp(-4.5) / math.sqrt(2 * math.pi) + 18 * Q3) / 9
"""Mean square of z/3 for a standard normal z cut off at three standard deviations."""


class Expert(nn.Module):
    """Two matrices, a bias and a norm of its own; a table that all share."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(64, 64)
        self.up = nn.Linear(SIDE, SIDE)
        self.down = nn.Linear(33, 65, bias=False)
        self.norm = nn.LayerNorm(SIDE)


@pytest.fixture(scope="module")
def event(tmp_path_factory):
    """Genomes before the event, after the swarm step alone and after the whole event, and the shared part's bytes."""
    module = Expert()

    def initialise(row):
        del row
        for parameter in module.parameters():
            parameter.normal_()

    blueprint = Blueprint(module, 3, initialise=initialise, is_shared=lambda name: name.startswith("table"))
    seen = {}
    for name, acting in (("swarm", [PSO()]), ("event", [PSO(), Crossover()])):
        population, mounted = found(
            blueprint, improvers=[AdamW()], operators=acting, noise=Noise(7), device=CPU,
            folder=tmp_path_factory.mktemp(name),
        )  # fmt: skip
        for row in range(3):
            for slot in population.slots:
                population.row(row, slot.name).fill_(row + 0.5)
        seen["before"] = [population.row(row).clone() for row in range(3)]
        shared = bits(mounted.shared.weights)
        records = vary_(population, *acting, scene=scene_of(3, actors=(HEAD,)), backend="cpu")
        assert [record.row for record in records] == [0, 2]
        seen[name] = [population.row(row).clone() for row in range(3)]
        seen["shared"] = (shared, bits(mounted.shared.weights))
        seen["population"] = population
    return seen


def matrices(event, name, row):
    """All genes of the matrices of one expert."""
    segments = event["population"].layout.scope("matrices")
    return torch.cat([segment.view(event[name][row]).flatten() for segment in segments])


def landing(event, name, row):
    """Where a follower landed: 0 is the head, -1 its old place; float64."""
    before, head, after = (matrices(event, *key).double() for key in (("before", row), ("before", HEAD), (name, row)))
    assert len(before) > 2**20
    return (after - head) / (head - before)


followers = pytest.mark.parametrize("row", [0, 2])


@followers
def test_sixty_percent_become_copies_of_the_head(event, row):
    copied = matrices(event, "event", row) == matrices(event, "before", HEAD)
    assert abs(share_z(float(copied.sum()), len(copied), 0.6)) < 5


@followers
def test_the_distance_to_the_head_shrinks_to_a_fifth(event, row):
    """RMS 0.2102 of the distance gene by gene: the swarm step's 0.3325 times the root of 0.4; mean 0."""
    eps = landing(event, "event", row)
    assert abs(mean_z(eps.square(), 0.4 * SQUARE)) < 5
    assert float(eps.square().mean().sqrt()) == pytest.approx(0.2102, abs=5e-4)
    assert abs(mean_z(eps, 0.0)) < 5


@followers
def test_without_crossover_it_shrinks_to_a_third(event, row):
    """RMS 0.3324 of the distance; the mean step is the distance."""
    eps = landing(event, "swarm", row)
    assert abs(mean_z(eps.square(), SQUARE)) < 5
    assert float(eps.square().mean().sqrt()) == pytest.approx(0.3324, abs=1e-3)
    assert abs(mean_z(eps + 1.0, 1.0)) < 5


@followers
def test_the_swarm_step_leaves_one_gene_in_740(event, row):
    untouched = matrices(event, "swarm", row) == matrices(event, "before", row)
    assert abs(share_z(float(untouched.sum()), len(untouched), Q3)) < 5


@followers
def test_the_swarm_step_stays_between_the_old_place_and_its_mirror_image(event, row):
    before, head, after = (
        matrices(event, *key).double() for key in (("before", row), ("before", HEAD), ("swarm", row))
    )
    slack = 1e-5 * (head - before).abs() + 1e-6
    low, high = torch.minimum(before, 2 * head - before), torch.maximum(before, 2 * head - before)
    assert bool(((after >= low - slack) & (after <= high + slack)).all())


def test_the_head_is_not_changed(event):
    assert bits(event["event"][HEAD]) == bits(event["before"][HEAD])
    assert event["population"].individuals[HEAD].id == HEAD


@followers
def test_vectors_and_padding_are_not_changed(event, row):
    layout = event["population"].layout
    outside = ~inside(layout, layout.scope("matrices"))
    assert int(outside.sum()) >= 3 * SIDE
    assert bits(event["event"][row][outside]) == bits(event["before"][row][outside])


def test_the_shared_part_is_not_changed(event):
    before, after = event["shared"]
    assert before == after
    assert "table.weight" not in [segment.name for segment in event["population"].layout.segments]


def test_moments_are_not_changed(event):
    population = event["population"]
    assert len(population.slots) == 2
    for row in range(3):
        for slot in population.slots:
            assert bool((population.row(row, slot.name) == row + 0.5).all())
