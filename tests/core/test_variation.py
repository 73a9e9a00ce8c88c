"""The vary phase: what holds for every operator of the first-party plugins, and the contract of those in plain torch."""

import hashlib
import itertools
import math
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from evoweights.errors import PluginError, UsageError
from evoweights.operators import DIRECTIONS, GeneOperator, Pair, TensorOperator
from evoweights.population import Slot
from evoweights.seeds import Noise
from evoweights.testing.grounds import is_random, label, with_settings
from evoweights.testing.populations import (
    BACKENDS,
    bits,
    contents,
    flat_layout,
    inside,
    mixed_layout,
    population_of,
    scene_of,
    vary_,
)
from evoweights.testing.strategies import DTYPES, SIZES, layouts
from evoweights.variation import Named, gene_call, vary
from evoweights_classic import PSO, ArithmeticCrossover, Crossover, Mix, Mutation
from evoweights_kernels import TILE, Chance, Gene, Normal, Scalar, State, Uniform, apply_, gene_kernel
from evoweights_kernels import Call as KernelCall
from operators_under_test import OTHER_SETTINGS, operators, registered

OPERATORS = list(operators())
STATE = (Slot("adamw.first_moment"), Slot("adamw.second_moment"), Slot("other.memory", "state"))

every_operator = pytest.mark.parametrize("operator", OPERATORS, ids=label)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def slots_of(*acting):
    return (*dict.fromkeys(slot for operator in acting for slot in operator.slots), *STATE)


def filled(layout, *acting, size=3, seed=0, extreme_share=0.0):
    return population_of(layout, size, slots=slots_of(*acting), seed=seed, extreme_share=extreme_share)


def scope_mask(layout, scope):
    return inside(layout, layout.scope(scope))


def digest(population):
    text = repr(
        [sorted((name, hashlib.sha256(each).hexdigest()) for name, each in row.items()) for row in contents(population)]
    )
    return hashlib.sha256(text.encode()).hexdigest()


def test_every_registered_operator_is_tested_with_other_settings():
    assert {entry.name for entry in registered().entries("operator")} == set(OTHER_SETTINGS)


# What may change


@every_operator
@settings(max_examples=10)
@given(layout=layouts(), seed=st.integers(0, 2**32), direction=st.sampled_from(DIRECTIONS))
def test_rows_that_are_no_target_keep_every_byte(operator, layout, seed, direction):
    """G02, X11: sources are read only."""
    operator = with_settings(operator, direction=direction, scope="all")
    scene = scene_of(4, actors=(1,), failed=(3,))
    population = filled(layout, operator, size=4, extreme_share=0.2)
    before, ids = contents(population), [each.id for each in population.individuals]
    records = vary_(population, operator, scene=scene, seed=seed)
    targets = {pair.target for pair in operator.pairs(scene)}
    assert {record.row for record in records} == targets
    for row in set(range(4)) - targets:
        assert contents(population)[row] == before[row]
        assert population.individuals[row].id == ids[row]


@every_operator
@pytest.mark.parametrize("scope", ["matrices", "vectors", "embeddings", "all", "*.4"])
@every_dtype
def test_only_genes_in_scope_change(operator, scope, dtype):
    """G16: genes outside the scope, padding and frozen tensors keep their bytes; moments and foreign state as well."""
    operator = with_settings(operator, scope=scope)
    population = filled(mixed_layout(dtype), operator)
    before = [{name: each.clone() for name, each in population.tensors(row).items()} for row in range(3)]
    vary_(population, operator)
    outside = ~scope_mask(population.layout, scope)
    own = {slot.name for slot in operator.slots if slot.role == "state"}
    for row in range(3):
        for name, tensor in population.tensors(row).items():
            if name == "weights" or name in own:
                assert bits(tensor[outside]) == bits(before[row][name][outside])
            else:
                assert bits(tensor) == bits(before[row][name])


@every_operator
def test_something_in_scope_changes(operator):
    """The other tests would pass for an operator that does nothing."""
    population = filled(mixed_layout(), operator)
    before = contents(population)
    vary_(population, with_settings(operator, scope="all"))
    nothing = isinstance(operator, ArithmeticCrossover) and operator.weight == 0.0
    assert (contents(population)[1]["weights"] == before[1]["weights"]) == nothing


@every_operator
@settings(max_examples=8)
@given(layout=layouts(), seed=st.integers(0, 2**32))
def test_rewritten_tensors_keep_their_shape_and_dtype_and_carry_no_gradient(operator, layout, seed):
    """G01, G12: also for empty, 0-d and 5-d tensors."""
    population = filled(layout, operator)
    vary_(population, with_settings(operator, scope="all"), seed=seed)
    for tensor in population.tensors(1).values():
        assert not tensor.requires_grad
        assert tensor.grad_fn is None
    assert population.row(1).dtype == layout.dtype
    assert population.row(1).shape == (layout.size,)


@pytest.mark.parametrize("policy", ["keep", "reset", "copy"])
@every_operator
def test_optimizer_state_follows_the_policy_and_nothing_else_does(operator, policy):
    """A05: moments and step counts are kept, zeroed, or the source's; other slots and buffers never change."""
    population = filled(mixed_layout(), operator)
    before = contents(population)
    vary_(population, operator, optimizer_state=policy)
    after, origin = contents(population), {"keep": 1, "reset": None, "copy": 0}[policy]
    for name in ("adamw.first_moment", "adamw.second_moment"):
        expected = bytes(len(before[1][name])) if origin is None else before[origin][name]
        assert after[1][name] == expected
    for name in ("other.memory", "buffer.running_mean", "buffer.count"):
        assert after[1][name] == before[1][name]
    assert population.individuals[1].counters == ({} if origin is None else {"adamw.steps": 10 + origin})
    assert after[0] == before[0]


@pytest.mark.parametrize("policy", ["keep", "copy"])
def test_an_operator_without_a_source_keeps_the_optimizer_state(policy):
    population = filled(mixed_layout(), Mutation())
    before = contents(population)
    vary_(population, Mutation(direction="all", rate=1.0), optimizer_state=policy)
    for row, after in enumerate(contents(population)):
        assert after["adamw.first_moment"] == before[row]["adamw.first_moment"]
        assert population.individuals[row].counters == {"adamw.steps": 10 + row}


def test_a_rewritten_row_is_no_view_of_its_source():
    """G03: also where everything is copied."""
    population = filled(mixed_layout(), Crossover())
    vary_(population, Crossover(rate=1.0, scope="all"), optimizer_state="copy")
    before = contents(population)[1]
    fill_row_of_zeros = population.tensors(0)
    for tensor in fill_row_of_zeros.values():
        tensor.zero_()
    assert contents(population)[1] == before


# Random numbers


@every_operator
@every_dtype
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(operator, dtype):
    """G04, G05."""
    operator = with_settings(operator, scope="all")
    made = []
    for seed in (1, 1, 2):
        population = filled(mixed_layout(dtype), operator)
        torch.rand(seed)
        vary_(population, operator, seed=seed)
        made.append(contents(population))
    assert made[0] == made[1]
    if is_random(operator):
        assert made[0] != made[2]
    elif dtype == torch.float32:
        assert made[0] == made[2]


def test_generations_labels_and_rows_draw_their_own_numbers():
    """P08, M04: what an operator adds to equal rows differs from row to row, entry to entry, generation to generation."""
    added = []
    for generation, first in ((3, 0), (4, 0), (3, 1)):
        population = filled(flat_layout(2000), Mutation(), size=3)
        for row in range(3):
            population.row(row).fill_(1.0)
        vary_(population, Mutation(rate=1.0, sigma=1.0), generation=generation, first=first)
        added += [population.row(row)[:2000] - 1.0 for row in (1, 2)]
    for left, right in itertools.combinations(added, 2):
        assert abs(float(torch.corrcoef(torch.stack([left, right]))[0, 1])) < 5 / 2000**0.5


@every_operator
def test_nothing_global_is_drawn_from_or_changed(operator):
    """G06."""

    def state():
        return bits(torch.random.get_rng_state()), np.random.get_state()[1].tobytes(), random.getstate(), os.getcwd()

    population = filled(mixed_layout(), operator)
    before = state()
    vary_(population, operator)
    assert state() == before


def bytes_of_every_operator():
    for operator in OPERATORS:
        population = filled(mixed_layout(torch.bfloat16), operator)
        vary_(population, operator, seed=2**64 - 1, backend="reference")
        yield digest(population)


def test_a_fresh_process_with_another_hash_seed_makes_the_same_bytes():
    """G04."""
    code = "import test_variation as t; print(*t.bytes_of_every_operator())"
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parent), *sys.path])
    environment = {**os.environ, "PYTHONHASHSEED": "1234", "PYTHONPATH": path}
    made = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert made.stdout.split() == list(bytes_of_every_operator())


# Order, fusing, chunks, targets, homes


@every_operator
def test_a_gene_does_not_depend_on_what_else_is_in_scope(operator):
    """G07: the numbers of a gene are those of its place in the genome."""
    whole, part = filled(mixed_layout(), operator), filled(mixed_layout(), operator)
    vary_(whole, with_settings(operator, scope="all"))
    vary_(part, with_settings(operator, scope="embeddings"))
    mask = scope_mask(whole.layout, "embeddings")
    assert bits(whole.row(1)[mask]) == bits(part.row(1)[mask])


def test_entries_act_in_their_order():
    noise = Mutation(rate=1.0, sigma=1.0, relative_to="nothing")
    copy = Crossover(rate=1.0)
    first, last = filled(flat_layout(1500), copy), filled(flat_layout(1500), copy)
    vary_(first, copy, noise)
    vary_(last, noise, copy)
    assert bits(last.row(1)[:1500]) == bits(last.row(0)[:1500])
    assert bits(first.row(1)[:1500]) != bits(first.row(0)[:1500])


fusible = [each for each in OPERATORS if not isinstance(each, Mutation) or each.relative_to == "nothing"]


def fused_and_apart(acting, dtype, seed, backend):
    """What one vary of all makes, and what one vary after the other makes."""
    fused, apart = (filled(mixed_layout(dtype), *acting, seed=seed, extreme_share=0.1) for _ in range(2))
    records = vary_(fused, *acting, seed=seed, backend=backend)
    assert [len(record.operators) for record in records] == [len(acting)] * 2
    for index, each in enumerate(acting):
        vary_(apart, each, seed=seed, first=index, backend="reference")
    return contents(fused), contents(apart)


@every_dtype
@settings(max_examples=8)
@given(
    st.lists(st.sampled_from(fusible), min_size=2, max_size=3),
    st.integers(0, 99),
    st.sampled_from(("current_to_others", "best_to_others")),
)
def test_one_fused_launch_is_the_operators_one_after_the_other(dtype, acting, seed, direction):
    """Bit for bit, also where bfloat16 is rounded between the operators. Triton's interpreter compiles nothing."""
    acting = [with_settings(each, direction=direction, scope="all") for each in acting]
    fused, apart = fused_and_apart(acting, dtype, seed, "triton")
    assert fused == apart


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@every_dtype
def test_the_usual_pipeline_fuses_on_every_target(backend, dtype):
    acting = (PSO(), Crossover(), Mutation(sigma=0.5, rate=0.4, relative_to="nothing"))
    fused, apart = fused_and_apart(acting, dtype, 5, backend)
    assert fused == apart


def test_what_a_mutation_is_relative_to_does_not_depend_on_fusion():
    """With an operator between that breaks the launch in two, the matrices get the same bits."""
    acting = (PSO(), Mutation(rate=0.5, sigma=0.5))
    fused, broken = filled(mixed_layout(), *acting), filled(mixed_layout(), *acting)
    entries = [Named("0-pso", acting[0]), Named("2-mutation", acting[1])]
    between = [entries[0], Named("1-mix", Mix(scope="vectors")), entries[1]]
    settings_ = {"generation": 3, "noise": Noise(1).at("vary"), "backend": "reference", "optimizer_state": "keep"}
    vary(fused, entries, scene_of(fused.size), **settings_)
    vary(broken, between, scene_of(broken.size), **settings_)
    for segment in fused.layout.scope("matrices"):
        assert all(bits(segment.view(fused.row(i))) == bits(segment.view(broken.row(i))) for i in range(fused.size))


def test_relative_mutation_measures_the_weights_before_the_phase():
    """That is before the operators ahead of it."""
    population = filled(flat_layout(4096), Mutation())
    population.row(0).fill_(0.0)
    population.row(1).fill_(2.0)
    vary_(population, Crossover(rate=1.0), Mutation(rate=1.0, sigma=0.5))
    assert float(population.row(1)[:4096].std()) == pytest.approx(0.5 * 2.0, rel=0.06)


@pytest.mark.parametrize(
    "acting",
    [
        (Crossover(direction="ring"), Mix(direction="ring")),
        (Crossover(), Mix(direction="best_to_others")),
        (Crossover(), Mix(scope="vectors")),
    ],
    ids=["ring", "directions", "scopes"],
)
def test_operators_that_cannot_be_one_launch_are_several(acting):
    scene = scene_of(3, scores=(2.0, 1.0, 0.0))
    together, apart = filled(mixed_layout(), *acting), filled(mixed_layout(), *acting)
    records = vary_(together, *acting, scene=scene)
    assert all(len(record.operators) == 1 for record in records)
    for index, each in enumerate(acting):
        vary_(apart, each, scene=scene, first=index)
    assert contents(together) == contents(apart)


@every_operator
@every_dtype
@given(chunk=st.integers(1, 4), seed=st.integers(0, 99))
@settings(max_examples=6)
def test_a_genome_in_chunks_is_the_genome_as_a_whole(operator, dtype, chunk, seed):
    """G08."""
    operator, layout = with_settings(operator, scope="all"), mixed_layout(dtype)
    whole, parts = filled(layout, operator, seed=seed), filled(layout, operator, seed=seed)
    live = layout.live(layout.scope("all"))
    calls = [
        gene_call(
            each,
            operator,
            Pair(1, 0),
            each.row(1),
            each.row(0),
            operator.tile_scalars(each.layout, each.row(1)),
            Noise(seed, "here"),
        )
        for each in (whole, parts)
    ]
    apply_([calls[0]], seed=seed, live=live, backend="cpu")
    for first in range(0, len(live), chunk):
        here, tiles = slice(first * TILE, (first + chunk) * TILE), slice(first, first + chunk)
        tensors = {n: each[tiles if len(each) == len(live) else here] for n, each in calls[1].tensors.items()}
        call = KernelCall(operator.kernel, tensors, calls[1].scalars, calls[1].streams)
        apply_([call], seed=seed, live=live[tiles], first_tile=first, backend="cpu")
    assert contents(whole) == contents(parts)


@every_operator
@every_dtype
@given(size=st.sampled_from(SIZES), seed=st.integers(0, 2**64 - 1), share=st.sampled_from((0.0, 0.5)))
@settings(max_examples=4)
def test_every_target_makes_the_same_bits(operator, dtype, size, seed, share):
    """G18, also with extreme numbers."""
    made = []
    for backend in BACKENDS:
        population = filled(flat_layout(size, dtype), operator, size=2, seed=seed, extreme_share=share)
        records = vary_(population, operator, seed=seed, backend=backend)
        assert [record.backend for record in records] == [backend]
        made.append(contents(population))
    assert made[0] == made[1]
    assert made[0] == made[2]


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_target_leaves_what_is_out_of_scope(backend):
    """G16 for several segments, and with several operators in one launch."""
    acting = (PSO(), Crossover(), Mutation(sigma=0.5, rate=0.4, relative_to="nothing"))
    for dtype in DTYPES:
        population, before = filled(mixed_layout(dtype), *acting), filled(mixed_layout(dtype), *acting)
        vary_(population, *acting, backend=backend)
        outside = ~scope_mask(population.layout, "matrices")
        assert bits(population.row(1)[outside]) == bits(before.row(1)[outside])
        assert bits(population.row(1)[~outside]) != bits(before.row(1)[~outside])


@every_operator
@pytest.mark.parametrize("direction", ["current_to_others", "ring", "all"])
def test_the_homes_agree(operator, direction, tmp_path):
    operator, made = with_settings(operator, direction=direction), []
    for home in ("host", "device", "disk"):
        population = population_of(
            mixed_layout(torch.bfloat16), 3, slots=slots_of(operator), home=home, folder=tmp_path
        )
        vary_(population, operator, optimizer_state="copy", backend="cpu")
        made.append(contents(population))
    assert made[0] == made[1] == made[2]


# Extreme numbers


@every_operator
@every_dtype
@settings(max_examples=8)
@given(seed=st.integers(0, 2**32), share=st.sampled_from((0.0, 0.5, 1.0)))
def test_finite_genes_never_become_nan(operator, dtype, seed, share):
    """G14."""
    operator = with_settings(operator, scope="all")
    population = filled(flat_layout(1500, dtype), operator, seed=seed, extreme_share=share)
    vary_(population, operator, seed=seed)
    assert not population.row(1).isnan().any()


@every_operator
@settings(max_examples=4)
@given(seed=st.integers(0, 2**32))
def test_a_nan_stays_in_its_gene(operator, seed):
    """G15: whether it is the target's or the source's."""
    operator = with_settings(operator, scope="all")
    for sick in (0, 1):
        clean, ill = (filled(flat_layout(1500), operator, seed=seed) for _ in range(2))
        where = torch.zeros(clean.layout.size, dtype=torch.bool)
        where[seed % 1500 :: 97] = True
        ill.row(sick)[where] = math.nan
        vary_(clean, operator, seed=seed)
        vary_(ill, operator, seed=seed)
        if sick == 1 and isinstance(operator, Mutation) and operator.relative_to == "rms":
            assert not ill.row(1)[~where].isnan().any()  # the scale is measured on the others
        else:
            assert bits(ill.row(1)[~where]) == bits(clean.row(1)[~where])


# Who is rewritten from whom

A, B, C, D = range(4)
DIRECTION_TABLE = {
    # Row 2 is the best; it is the turn of row 0.
    "current_to_others": [Pair(B, A), Pair(C, A), Pair(D, A)],
    "best_to_current": [Pair(A, C)],
    "best_to_others": [Pair(A, C), Pair(B, C), Pair(D, C)],
    "current": [Pair(A, A)],
    "all": [Pair(A, A), Pair(B, B), Pair(C, C), Pair(D, D)],
    "ring": [Pair(A, B), Pair(B, C), Pair(C, D), Pair(D, A)],
}


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_direction_says_who_is_rewritten_from_whom(direction):
    scene = scene_of(4, actors=(A,), scores=(3.0, 2.0, 1.0, 4.0))
    assert Mix(direction=direction).pairs(scene) == DIRECTION_TABLE[direction]


def test_the_best_may_be_that_of_the_training_losses():
    scene = scene_of(3, actors=(0,), scores=(1.0, 2.0, 3.0), train_losses=(3.0, 2.0, 1.0))
    assert Mix(direction="best_to_current", best_by="fitness").pairs(scene) == []
    assert Mix(direction="best_to_current", best_by="train_loss").pairs(scene) == [Pair(0, 2)]


loss = st.sampled_from((math.nan, math.inf, 0.0, 1.0, 1.0, 2.0, -1.0))


@pytest.mark.parametrize("direction", DIRECTIONS)
@given(data=st.data(), size=st.integers(1, 6))
def test_failed_rows_never_lead_and_no_one_leads_himself(direction, data, size):
    rows = st.lists(st.integers(0, size - 1), unique=True)
    actors, failed = data.draw(rows), data.draw(rows)
    scores = tuple(data.draw(st.lists(loss, min_size=size, max_size=size)))
    scene = scene_of(size, actors=actors, failed=failed, scores=scores)
    pairs = Mix(direction=direction).pairs(scene)
    assert all(0 <= pair.target < size and 0 <= pair.source < size for pair in pairs)
    if direction in ("current", "all"):
        assert pairs == [Pair(row, row) for row in (actors if direction == "current" else range(size))]
        return
    assert all(pair.source not in failed and pair.source != pair.target for pair in pairs)
    if direction.startswith("best"):
        known = [scores[row] for row in range(size) if row not in failed and not math.isnan(scores[row])]
        assert all(scores[pair.source] == min(known) for pair in pairs)
        assert len({pair.source for pair in pairs}) <= 1
    if direction == "ring":
        assert sorted(pair.target for pair in pairs) == sorted(pair.source for pair in pairs)


@pytest.mark.parametrize("direction", ["best_to_current", "best_to_others"])
def test_without_a_known_best_nothing_happens(direction):
    population = filled(mixed_layout(), Mix())
    before = contents(population)
    unknown = scene_of(3, scores=(math.nan,) * 3)
    assert vary_(population, Mix(direction=direction), scene=unknown) == []
    only_failed = scene_of(3, failed=(1,), scores=(math.nan, 1.0, math.nan))
    assert vary_(population, Mix(direction=direction), scene=only_failed) == []
    assert contents(population) == before


def test_a_population_of_one_has_no_one_to_learn_from():
    for direction in set(DIRECTIONS) - {"current", "all"}:
        assert Mix(direction=direction).pairs(scene_of(1)) == []


def rows_full_of_their_number(size):
    population = filled(flat_layout(2048), Crossover(), size=size)
    for row in range(size):
        population.row(row).fill_(float(row))
        population.row(row, "adamw.first_moment").fill_(float(row))
    return population


@given(st.integers(2, 6), st.sets(st.integers(0, 5), max_size=3))
def test_a_ring_reads_its_neighbours_as_they_were(size, failed):
    population = rows_full_of_their_number(size)
    healthy = [row for row in range(size) if row not in failed]
    records = vary_(
        population, Crossover(rate=1.0, direction="ring"), scene=scene_of(size, failed=failed), optimizer_state="copy"
    )
    after = dict(zip(healthy, healthy[1:] + healthy[:1], strict=True))
    for row in range(size):
        origin = float(after.get(row, row))
        assert bool((population.row(row) == origin).all())
        assert bool((population.row(row, "adamw.first_moment") == origin).all())
        assert population.individuals[row].counters == {"adamw.steps": 10 + int(origin)}
    assert [record.parents for record in records] == [(row, after[row]) for row in healthy if after[row] != row]


@given(st.lists(st.integers(0, 4), min_size=2, max_size=5, unique=True))
def test_several_leaders_are_read_as_they_were(actors):
    """Each leader overwrites all others; the last one that did so is what a row holds."""
    population = rows_full_of_their_number(5)
    scene = scene_of(5, actors=actors)
    records = vary_(population, Crossover(rate=1.0), scene=scene, optimizer_state="copy")
    for row in range(5):
        origin = [each for each in actors if each != row][-1]
        assert bool((population.row(row) == float(origin)).all())
        assert bool((population.row(row, "adamw.first_moment") == float(origin)).all())
    assert all(record.sources[0] in record.parents for record in records)


def test_every_leader_draws_its_own_mask():
    """Otherwise the second of two leaders overwrites exactly what the first has given."""
    population = rows_full_of_their_number(3)
    vary_(population, Crossover(rate=0.5), scene=scene_of(3, actors=(0, 1)))
    shares = [float((population.row(2) == value).float().mean()) for value in (0.0, 1.0, 2.0)]
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.06)


def test_lineage_names_existing_older_parents_and_ids_are_never_used_twice():
    """L10."""
    population, seen = rows_full_of_their_number(4), {0, 1, 2, 3}
    acting = [Crossover(direction=each) for each in DIRECTIONS] + [Mutation(direction="all")]
    for generation in range(3):
        for record in vary_(population, *acting, scene=scene_of(4, actors=(1, 3)), generation=generation):
            assert record.id not in seen
            assert set(record.parents) <= seen
            assert record.generation == generation
            seen.add(record.id)
    assert all(each.is_unknown for each in population.individuals)


# Operators in plain torch


@dataclass(frozen=True)
class Scripted(TensorOperator):
    """Does what the test says."""

    name: ClassVar[str] = "scripted"
    source: ClassVar[str] = "a test"

    script: object = None

    def rewrite(self, target, source, noise):
        return self.script(target, source, noise)


def averaged(target, source, noise):
    """Writes every tensor in scope, with numbers of its own."""
    return {
        name: (each + source[name]) / 2 + torch.randn(each.shape, generator=noise.at(name).generator()).to(each.dtype)
        for name, each in target.items()
    }


@every_dtype
def test_a_tensor_operator_writes_the_tensors_it_gives_and_no_others(dtype):
    population = filled(mixed_layout(dtype), Scripted())
    before = population.row(1).clone(), contents(population)
    seen = {}

    def one_of_them(target, source, noise):
        seen.update(target)
        return {"matrix.0": source["matrix.0"] * 2}

    records = vary_(population, Scripted(script=one_of_them))
    assert set(seen) == {"matrix.0", "matrix.1", "matrix.2"}
    assert [record.backend for record in records] == ["torch", "torch"]
    first = population.layout.segments[0]
    assert bits(first.view(population.row(1))) == bits(first.view(population.row(0)) * 2)
    assert bits(population.row(1)[first.count :]) == bits(before[0][first.count :])
    assert contents(population)[0] == before[1][0]


def test_a_tensor_operator_is_reproducible_and_draws_for_each_row_and_leader():
    made = []
    for _ in range(2):
        population = filled(mixed_layout(), Scripted())
        for row in range(3):
            population.row(row).zero_()
        torch.rand(7)
        vary_(population, Scripted(script=averaged))
        made.append(contents(population))
    assert made[0] == made[1]
    assert made[0][1]["weights"] != made[0][2]["weights"]


@pytest.mark.parametrize("edited", ["target", "source"])
def test_a_tensor_operator_that_edits_what_it_is_given_is_refused_and_changes_nothing(edited):
    population = filled(mixed_layout(), Scripted())
    before = contents(population)

    def vandal(target, source, noise):
        {"target": target, "source": source}[edited]["matrix.0"].zero_()
        return {"matrix.1": target["matrix.1"] * 2}

    with pytest.raises(PluginError, match=r"changed 'matrix.0' in place and did not return it. No weight was changed"):
        vary_(population, Scripted(script=vandal))
    assert contents(population) == before


def test_a_tensor_operator_may_write_into_its_target_and_return_it():
    population = filled(mixed_layout(), Scripted())
    expected = population.layout.segments[0].view(population.row(1)) * 2
    vary_(population, Scripted(script=lambda target, source, noise: {"matrix.0": target["matrix.0"].mul_(2)}))
    assert bits(population.layout.segments[0].view(population.row(1))) == bits(expected)


def test_a_tensor_with_a_gradient_history_leaves_none_in_the_population():
    """G01."""
    population = filled(mixed_layout(), Scripted())
    factor = torch.ones((), requires_grad=True)
    vary_(population, Scripted(script=lambda target, source, noise: {n: each * factor for n, each in target.items()}))
    assert not population.row(1).requires_grad


def test_a_tensor_that_is_the_sources_own_is_copied():
    """G03."""
    population = filled(mixed_layout(), Scripted())
    vary_(population, Scripted(script=lambda target, source, noise: source, scope="all"))
    before = contents(population)[1]
    population.row(0).zero_()
    assert contents(population)[1] == before


def give(name, make):
    return lambda target, source, noise: {**averaged(target, source, noise), name: make(target["matrix.0"])}


def raising(target, source, noise):
    raise KeyError("no such tensor")


def leaving(target, source, noise):
    raise SystemExit(0)  # would end the process as if the run had succeeded


BROKEN = {
    "another name": (give("matrix.9", lambda each: each), r"gave a tensor 'matrix\.9' that is not in its scope"),
    "out of scope": (give("vector.4", lambda each: torch.zeros(63)), r"gave a tensor 'vector\.4' that is not in its scope"),
    "frozen": (give("frozen.6", lambda each: torch.zeros(5, 5)), r"gave a tensor 'frozen\.6' that is not in its scope"),
    "shape": (
        give("matrix.0", lambda each: each.T),
        r"gave 'matrix\.0' as torch\.float32 \(40, 33\), expected torch\.float32 \(33, 40\)",
    ),
    "dtype": (give("matrix.0", lambda each: each.double()), r"gave 'matrix\.0' as torch\.float64 .* expected torch\.float32"),
    "NaN": (give("matrix.0", lambda each: each * math.nan), r"gave NaN or infinity in 'matrix\.0'"),
    "infinity": (give("matrix.0", lambda each: each / 0), r"gave NaN or infinity in 'matrix\.0'"),
    "no tensor": (give("matrix.0", lambda each: each.tolist()), r"gave 'matrix\.0' as list, expected a tensor"),
    "no mapping": (lambda target, source, noise: None, r"gave NoneType, expected a mapping from names to"),
    "raising": (raising, r"raised KeyError: 'no such tensor'"),
    "leaving": (leaving, r"raised SystemExit: 0"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_tensor_operator_that_breaks_its_contract_changes_no_weight(what):
    script, message = BROKEN[what]
    population = filled(mixed_layout(), Scripted())
    before = contents(population)
    with pytest.raises(PluginError, match=rf"operator scripted on individual 1:? .*{message}|individual 1 {message}"):
        vary_(population, Scripted(script=script))
    assert contents(population) == before
    assert [each.id for each in population.individuals] == [0, 1, 2]


class _Looks(TorchDispatchMode):
    """Counts how often a number is fetched from a tensor, for which a GPU would be waited for."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_a_tensor_operator_is_waited_for_once_for_each_row_however_many_tensors_it_gives():
    population = filled(mixed_layout(), Scripted())
    with _Looks() as looks:
        records = vary_(population, Scripted(script=averaged))
    assert looks.count <= len(records) == 2


# Gene operators that are wrong


@gene_kernel
def needs_more(x: Gene, strength: Scalar, r: Uniform):
    return x + strength * r


@gene_kernel
def remembers(x: Gene, memory: State):
    return x + memory, memory * 0.5


@gene_kernel
def bold(x: Gene, leader: Gene, chance: Chance, z: Normal):
    return x + z * (leader - x)


@dataclass(frozen=True)
class Wrong(GeneOperator):
    """A gene operator whose kernel the test chooses."""

    name: ClassVar[str] = "wrong"
    source: ClassVar[str] = "a test"

    kernel: object = bold
    chance: float = 0.5


def test_a_gene_operator_without_a_kernel_is_refused_where_it_is_written():
    with pytest.raises(
        PluginError, match=r"Without: a GeneOperator needs a class attribute `kernel`, a function decorated"
    ):

        class Without(GeneOperator):
            """Has none."""


def test_a_kernel_that_nobody_decorated_is_refused_where_it_is_written():
    with pytest.raises(PluginError, match=r"Plain: a GeneOperator needs a class attribute `kernel`.*with @gene_kernel"):

        class Plain(GeneOperator):
            """Its kernel is a function and no more."""

            def kernel(x: Gene, leader: Gene) -> Gene:
                return x + leader


def test_a_scalar_that_is_no_setting_is_named():
    population = filled(mixed_layout())
    with pytest.raises(
        PluginError, match=r"operator wrong: kernel needs_more takes strength, which is no setting of it. Add a setting"
    ):
        vary_(population, Wrong(kernel=needs_more))


def test_a_state_that_is_no_slot_is_named_and_never_written_to_the_source():
    population = filled(mixed_layout())
    before = contents(population)
    with pytest.raises(PluginError, match=r"kernel remembers keeps 'memory', which is no slot.*'wrong\.memory'"):
        vary_(population, Wrong(kernel=remembers))
    assert contents(population) == before


def test_a_kernel_error_names_the_entry_and_the_individual():
    population = filled(mixed_layout())
    before = contents(population)
    with pytest.raises(PluginError, match=r"vary\.0-mix \+ 1-wrong on individual 1: .*'chance'.*\[0, 1\], found 1\.5"):
        vary_(population, Mix(), Wrong(kernel=bold, chance=1.5))
    assert contents(population) == before


def test_a_scope_that_matches_nothing_names_the_entry():
    population = filled(mixed_layout())
    with pytest.raises(UsageError, match=r"vary\.0-mix\.scope: '\*\.attn\.\*' is no scope and matches no segment"):
        vary_(population, Mix(scope="*.attn.*"))
