"""Populations: homes, saving, identities, losses, and individuals swapped in and out of a live module."""

import math
import os
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from evoweights.errors import ResourceError, UsageError
from evoweights.founding import found
from evoweights.mounted import Blueprint
from evoweights.population import Individual, Population, Slot, best_of, better, buffers_among
from evoweights.seeds import Noise
from evoweights.storage.formats import from_json, to_json
from evoweights.testing.populations import CPU, bits, contents, fill_, flat_layout, mixed_layout, population_of
from evoweights.testing.strategies import DTYPES, fitnesses, genes_of, layouts

SLOTS = (Slot("adamw.first_moment"), Slot("pso.velocity", "state"), Slot("pso.personal_best", "personal_best"))
HOMES = ("device", "host", "disk")


# Homes


@given(layout=layouts(), seed=st.integers(0, 99))
def test_the_homes_hold_the_same_bits_after_the_same_writes(layout, seed):
    with tempfile.TemporaryDirectory() as folder:
        held = []
        for home in HOMES:
            population = population_of(
                layout, 3, slots=SLOTS, home=home, folder=Path(folder), seed=seed, extreme_share=0.3
            )
            population.row(1).mul_(2.0)
            population.row(2, "pso.velocity").copy_(population.row(0, "pso.velocity"))
            held.append(contents(population))
    assert held[0] == held[1] == held[2]


@pytest.mark.parametrize("home", HOMES)
def test_every_row_starts_at_zero_in_its_dtype(home, tmp_path):
    layout = mixed_layout(torch.bfloat16)
    population = Population(layout, 2, home=home, device=CPU, folder=tmp_path, slots=SLOTS)
    expected = {"weights": torch.bfloat16, "pso.personal_best": torch.bfloat16, "pso.velocity": torch.float32}
    for name, dtype in expected.items():
        for row in range(2):
            assert population.row(row, name).dtype == dtype
            assert population.row(row, name).shape == (layout.size,)
            assert not population.row(row, name).any()


@pytest.mark.parametrize("home", HOMES)
def test_rows_do_not_overlap(home, tmp_path):
    population = Population(mixed_layout(), 3, home=home, device=CPU, folder=tmp_path, slots=SLOTS)
    population.row(1, "pso.velocity").fill_(5.0)
    touched = {
        (row, name)
        for row in range(3)
        for name in ("weights", *(slot.name for slot in SLOTS))
        if population.row(row, name).any()
    }
    assert touched == {(1, "pso.velocity")}


def test_a_disk_home_survives_the_tensors_it_gave(tmp_path):
    population = population_of(mixed_layout(), 2, home="disk", folder=tmp_path / "rows", slots=SLOTS)
    expected = bits(population.row(1))
    del population
    (file,) = (tmp_path / "rows").glob("weights.0001")
    assert file.read_bytes() == expected


def test_a_folder_that_cannot_be_written_is_a_resource_error(tmp_path):
    (tmp_path / "weights.0001").mkdir()
    with pytest.raises(ResourceError, match=r"population\.home: cannot make .*weights\.0001"):
        Population(flat_layout(10), 2, home="disk", device=CPU, folder=tmp_path, slots=())


@pytest.mark.parametrize("damage", [Path.unlink, lambda file: os.truncate(file, 8)], ids=["removed", "cut short"])
def test_a_file_of_the_population_that_is_not_what_it_was_is_a_resource_error(tmp_path, damage):
    population = Population(flat_layout(10), 2, home="disk", device=CPU, folder=tmp_path, slots=())
    damage(tmp_path / "weights.0001")
    with pytest.raises(
        ResourceError, match=r"weights\.0001 was removed or cut short while the run needs it\. Leave the folder"
    ):
        population.row(1)
    assert population.row(0).numel() == population.layout.size


def test_an_unknown_home_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"population\.home: 'moon' is none of auto, device, host, disk"):
        Population(flat_layout(10), 2, home="moon", device=CPU, folder=tmp_path, slots=())


def test_auto_is_the_host_where_there_is_no_accelerator(tmp_path):
    assert Population(flat_layout(10), 2, home="auto", device=CPU, folder=tmp_path, slots=()).home == "host"


# Saving


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_restoring_what_was_saved_brings_back_every_byte(home, dtype, tmp_path):
    population = population_of(mixed_layout(dtype), 3, slots=SLOTS, home=home, folder=tmp_path, extreme_share=0.5)
    saved = [{n: each.clone() for n, each in population.tensors(row).items()} for row in range(3)]
    before = contents(population)
    fill_(population, seed=77)
    population.buffers[1] = {}
    assert contents(population) != before
    for row in range(3):
        population.restore(row, saved[row])
    assert contents(population) == before


def test_what_is_saved_of_a_row_are_weights_slots_and_buffers():
    population = population_of(mixed_layout(), 2, slots=SLOTS)
    assert set(population.tensors(1)) == {
        "weights", "adamw.first_moment", "pso.velocity", "pso.personal_best",
        "buffer.running_mean", "buffer.count",
    }  # fmt: skip
    assert buffers_among(population.tensors(1)).keys() == {"running_mean", "count"}


losses = st.one_of(st.sampled_from((math.nan, math.inf, -math.inf, 0.0, 1.0)), st.floats())
individuals = st.builds(
    Individual,
    id=st.integers(0, 2**40),
    parents=st.lists(st.integers(0, 99), max_size=3).map(tuple),
    born=st.integers(0, 99),
    fitness=losses,
    score=losses,
    train_loss=losses,
    best_fitness=losses,
    start=losses,
    turns=st.integers(0, 9),
    strikes=st.integers(0, 3),
    failed=st.booleans(),
    counters=st.dictionaries(st.sampled_from(("adamw.steps", "other")), st.integers(0, 99)),
)


@given(st.lists(individuals, min_size=2, max_size=2), st.integers(2, 2**50))
def test_the_state_survives_the_json_of_a_checkpoint_with_nan_and_infinity(given_individuals, next_id):
    population = population_of(flat_layout(1), 2)
    population.individuals, population.next_id = given_individuals, next_id
    text = to_json(population.state())  # as a checkpoint writes it
    other = population_of(flat_layout(1), 2)
    other.load_state(from_json(text))
    assert repr(other.individuals) == repr(given_individuals)  # NaN is not equal to itself, its text is
    assert other.next_id == next_id
    assert all(isinstance(each.parents, tuple) for each in other.individuals)
    assert to_json(other.state()) == text


# Identities


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=12))
def test_rewritten_individuals_have_new_ids_and_older_parents(rewritings):
    population = population_of(flat_layout(1), 4)
    seen = {each.id for each in population.individuals}
    for generation, (target, source) in enumerate(rewritings):
        old, other = population.individuals[target], population.individuals[source]
        new = population.rewritten(target, parents=[other.id], generation=generation)
        assert new is population.individuals[target]
        assert new.id not in seen
        assert set(new.parents) == {old.id, other.id} <= seen
        assert len(set(new.parents)) == len(new.parents)
        assert all(parent < new.id for parent in new.parents)
        assert new.born == generation
        seen.add(new.id)


def test_a_rewritten_individual_is_unknown_healthy_and_unsaved_and_keeps_its_history():
    population = population_of(flat_layout(1), 2)
    population.unsaved.clear()
    population.individuals[1] = Individual(
        id=1, fitness=2.0, score=2.0, train_loss=3.0, best_fitness=1.5, start=9.0, turns=4, strikes=3, failed=True,
        counters={"adamw.steps": 7},
    )  # fmt: skip
    new = population.rewritten(1, parents=[0], generation=5)
    assert new.is_unknown
    assert (new.failed, new.strikes) == (False, 0)
    assert (new.score, new.train_loss, new.best_fitness, new.start, new.turns) == (2.0, 3.0, 1.5, 9.0, 4)
    assert new.counters == {"adamw.steps": 7}
    assert population.unsaved == {1}


def test_the_counters_of_parent_and_child_are_not_one_object():
    population = population_of(flat_layout(1), 2)
    old = population.individuals[0]
    new = population.rewritten(0, parents=[1], generation=0)
    new.counters["adamw.steps"] = 99
    assert old.counters == {"adamw.steps": 10}


def test_fitness_is_nan_where_it_is_unknown_or_failed():
    population = population_of(flat_layout(1), 3)
    for row, (fitness, failed) in enumerate([(1.0, False), (2.0, True), (3.0, False)]):
        population.individuals[row].fitness, population.individuals[row].failed = fitness, failed
    population.mark_changed([2])
    assert [math.isnan(each) for each in population.fitness()] == [False, True, True]
    assert population.healthy() == [0, 2]
    assert [each.is_unknown for each in population.individuals] == [False, False, True]


# Losses


@settings(max_examples=100)
@given(losses, losses)
def test_better_is_a_strict_order_in_which_nan_is_the_worst(left, right):
    assert not better(left, left)
    assert not (better(left, right) and better(right, left))
    if math.isnan(left):
        assert not better(left, right)
    elif math.isnan(right):
        assert better(left, right)
    else:
        assert better(left, right) == (left < right)


@given(fitnesses, st.data())
def test_the_best_is_the_first_lowest_loss_that_is_no_nan(values, data):
    among = data.draw(st.lists(st.integers(0, len(values) - 1), unique=True))
    best = best_of(values, among)
    known = [row for row in among if not math.isnan(values[row])]
    if not known:
        assert best is None
        return
    assert best in known
    assert all(values[best] <= values[row] for row in known)
    assert best == min(row for row in known if values[row] == values[best])


# Swapping in and out of the live module


class Network(nn.Module):
    """A layer that is shared, a batch norm with running statistics, and a buffer that is not saved."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(11, 6)
        self.inner = nn.Linear(6, 6)
        self.norm = nn.BatchNorm1d(6)
        self.register_buffer("scratch", torch.zeros(2), persistent=False)

    def forward(self, tokens):
        return self.norm(self.inner(self.table(tokens)))


class Moments:
    """An improver in name: it keeps one slot."""

    name, slots = "moments", (Slot("moments.m"),)


@pytest.fixture(params=HOMES)
def founded(request, tmp_path):
    module = Network()

    def initialise(row):
        for parameter in module.parameters():
            parameter.normal_()
        module.table.weight[0] = row
        module.norm.running_mean.fill_(row)

    blueprint = Blueprint(
        module, 3, initialise=initialise, is_shared=lambda name: name.startswith("table"), home=request.param
    )
    return found(blueprint, improvers=[Moments()], operators=[], noise=Noise(5), device=CPU, folder=tmp_path)


def test_founding_gives_each_row_its_own_weights_and_all_the_same_shared_ones(founded):
    population, mounted = founded
    assert len({bits(population.row(row)) for row in range(3)}) == 3
    for row in range(3):
        mounted.load(population, row)
        assert float(mounted.module.norm.running_mean[0]) == row
    assert [each.name for each in mounted.shared.layout.segments] == ["table.weight"]
    assert not mounted.module.table.weight[0].any()  # what row 0 has written counts
    assert [each.id for each in population.individuals] == [0, 1, 2]


def test_an_individual_depends_on_its_row_only_not_on_how_many_there_are(tmp_path):
    def first_rows(size):
        module = Network()

        def initialise(row):
            del row
            for parameter in module.parameters():
                parameter.normal_()

        blueprint = Blueprint(module, size, initialise=initialise, is_shared=lambda name: False)
        population, _ = found(blueprint, improvers=[], operators=[], noise=Noise(5), device=CPU, folder=tmp_path)
        return [bits(population.row(row)) for row in range(2)]

    assert first_rows(2) == first_rows(4)


def test_swapping_in_and_out_is_bitwise(founded):
    population, mounted = founded
    for row in range(3):
        population.row(row).copy_(genes_of(row, population.layout.size, torch.float32))
        population.row(row, "moments.m").copy_(genes_of(50 + row, population.layout.size, torch.float32))
        population.individuals[row].counters = {"moments.steps": row}
    before = contents(population)
    for row in (2, 0, 1, 1, 2):
        mounted.load(population, row)
        assert bits(mounted.own.weights) == before[row]["weights"]
        assert bits(mounted.own.slots["moments.m"]) == before[row]["moments.m"]
        assert mounted.own.counters == {"moments.steps": row}
        mounted.store(population)
    assert contents(population) == before
    assert [each.counters for each in population.individuals] == [{"moments.steps": row} for row in range(3)]


def test_what_changes_while_mounted_is_stored_in_its_row_alone(founded):
    population, mounted = founded
    before = contents(population)
    population.unsaved.clear()
    mounted.load(population, 1)
    with torch.no_grad():
        mounted.module.inner.weight.add_(1.0)
    mounted.own.slots["moments.m"].fill_(3.0)
    mounted.own.counters["moments.steps"] = 8
    assert contents(population) == before
    assert population.individuals[1].counters == {}
    mounted.store(population)
    after = contents(population)
    assert (after[0], after[2]) == (before[0], before[2])
    assert after[1]["weights"] == bits(mounted.own.weights) != before[1]["weights"]
    assert after[1]["moments.m"] != before[1]["moments.m"]
    assert population.individuals[1].counters == {"moments.steps": 8}
    assert population.individuals[0].counters == {}
    assert population.unsaved == {1}


def test_running_statistics_move_with_their_individual(founded):
    population, mounted = founded
    tokens = torch.arange(11)
    mounted.load(population, 2)
    mounted.module.train()
    mounted.module(tokens)
    expected = {name: bits(each) for name, each in mounted.module.norm.named_buffers()}
    mounted.store(population)
    mounted.load(population, 0)
    assert float(mounted.module.norm.running_mean[0]) == 0.0
    assert int(mounted.module.norm.num_batches_tracked) == 0
    mounted.module(tokens)
    mounted.load(population, 2)
    assert {name: bits(each) for name, each in mounted.module.norm.named_buffers()} == expected
    assert int(mounted.module.norm.num_batches_tracked) == 1


def test_buffers_that_a_model_would_not_save_do_not_move(founded):
    population, mounted = founded
    assert set(population.buffers[0]) == {"norm.running_mean", "norm.running_var", "norm.num_batches_tracked"}
    mounted.module.scratch.fill_(4.0)
    mounted.load(population, 1)
    assert mounted.module.scratch.tolist() == [4.0, 4.0]


def test_the_shared_part_stays_one_storage(founded):
    population, mounted = founded
    place = mounted.module.table.weight.data_ptr()
    with torch.no_grad():
        mounted.module.table.weight.fill_(0.5)
    for row in range(3):
        mounted.load(population, row)
        mounted.store(population)
        assert mounted.module.table.weight.data_ptr() == mounted.shared.weights.data_ptr() == place
        assert bool((mounted.module.table.weight == 0.5).all())
        assert "table.weight" not in [each.name for each in population.layout.segments]


def test_a_module_that_left_its_genome_cannot_be_swapped(founded):
    population, mounted = founded
    mounted.load(population, 0)
    mounted.module.inner.weight.data = mounted.module.inner.weight.detach().clone()
    for swap in (lambda: mounted.load(population, 1), lambda: mounted.store(population)):
        with pytest.raises(UsageError, match=r"'inner\.weight' has left its genome"):
            swap()


def test_one_slot_name_in_two_roles_is_refused(tmp_path):
    class Other:
        name, slots = "other", (Slot("moments.m", "state"),)

    blueprint = Blueprint(Network(), 1, initialise=lambda row: None, is_shared=lambda name: False)
    with pytest.raises(
        UsageError,
        match=r"'moments\.m' is declared twice, .*: as optimizer in float32 by moments and as state in float32 by other",
    ):
        found(blueprint, improvers=[Moments(), Other()], operators=[], noise=Noise(1), device=CPU, folder=tmp_path)


def test_a_population_that_shares_everything_is_refused(tmp_path):
    blueprint = Blueprint(Network(), 1, initialise=lambda row: None, is_shared=lambda name: True)
    with pytest.raises(UsageError, match="nothing left to evolve"):
        found(blueprint, improvers=[], operators=[], noise=Noise(1), device=CPU, folder=tmp_path)
