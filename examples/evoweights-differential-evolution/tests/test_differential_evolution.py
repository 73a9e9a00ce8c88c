"""Who is drawn, what a trial is made of, who wins, and that the whole finds an optimum."""

import json
import math
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from evoweights_differential_evolution import DifferentialEvolution, OneToOne
from evoweights_differential_evolution.trials import differential_evolution

from evoweights import Noise, Scene
from evoweights.errors import UsageError
from evoweights_kernels import TILE, Call, apply_

CONFIG = Path(__file__).parents[1] / "differential_evolution.yaml"
NAN = math.nan


def scene_of(size, *, seed=1, failed=(), scores=None):
    rows = range(size)
    losses = scores or tuple(float(row) for row in rows)
    return Scene((), tuple(row for row in rows if row not in failed), losses, losses, Noise(seed, "test"))


@pytest.mark.parametrize("base", ["rand", "best"])
@pytest.mark.parametrize("parents", [4, 5, 9])
def test_every_trial_has_three_different_healthy_parents_besides_its_own(parents, base):
    operator = DifferentialEvolution(base=base)
    for seed in range(50):
        scores = tuple(float((row * 7 + seed) % 11) for row in range(2 * parents))
        pairs = operator.pairs(scene_of(2 * parents, seed=seed, scores=scores))
        assert [(pair.source, pair.target) for pair in pairs] == [(row, row + parents) for row in range(parents)]
        for pair in pairs:
            chosen, plus, minus = pair.others
            assert len({chosen, plus, minus}) == 3 and max(pair.others) < parents
            assert pair.source not in (plus, minus)
            assert chosen == min(range(parents), key=scores.__getitem__) if base == "best" else chosen != pair.source


def test_parents_are_drawn_uniformly_and_anew_for_each_place_of_noise():
    drawn = [DifferentialEvolution().pairs(scene_of(12, seed=seed))[0].others for seed in range(3000)]
    assert drawn[0] == DifferentialEvolution().pairs(scene_of(12, seed=0))[0].others
    for place in range(3):
        for row in range(1, 6):
            share = sum(each[place] == row for each in drawn) / len(drawn)
            assert share == pytest.approx(1 / 5, abs=4 * math.sqrt(0.2 * 0.8 / len(drawn)))


def test_who_failed_is_no_parent_and_gets_a_trial_without_its_genes():
    pairs = DifferentialEvolution().pairs(scene_of(12, failed=(2, 7)))
    assert [pair.target for pair in pairs] == list(range(6, 12))
    assert all(2 not in pair.parents for pair in pairs)
    assert pairs[2].source == pairs[2].others[0]
    assert DifferentialEvolution().pairs(scene_of(12, failed=(0, 1, 2))) == []


@pytest.mark.parametrize("size", [2, 6, 9, 15])
def test_a_population_that_does_not_divide_is_refused(size):
    with pytest.raises(UsageError, match=rf"population\.size of at least 8, half of it parents .* found {size}\."):
        DifferentialEvolution().pairs(scene_of(size))


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_a_gene_is_the_mutants_or_the_parents_and_the_rate_says_how_often(backend):
    generator = torch.Generator().manual_seed(3)
    count = 64 * TILE
    parent, base, plus, minus = torch.randn(4, count, generator=generator).unbind()
    trial = torch.full((count,), NAN)
    tensors = {"trial": trial, "parent": parent, "base": base, "plus": plus, "minus": minus}
    call = Call(differential_evolution, tensors, {"weight": 0.7, "rate": 0.3}, {"rate": 99})
    apply_([call], seed=5, backend=backend)
    mutant = base + torch.tensor(0.7) * (plus - minus)
    taken = trial == mutant
    assert torch.equal(torch.where(taken, mutant, parent), trial)
    assert float(taken.float().mean()) == pytest.approx(0.3, abs=4 * math.sqrt(0.3 * 0.7 / count))


@pytest.mark.parametrize(
    ("parent", "trial", "ties", "wins"),
    [
        *(
            (2.0, 1.0, "trial", True),
            (1.0, 2.0, "trial", False),
            (1.0, 1.0, "trial", True),
            (1.0, 1.0, "parent", False),
        ),
        *((NAN, 1.0, "trial", True), (1.0, NAN, "trial", False), (NAN, NAN, "trial", False)),
        *((math.inf, 5.0, "parent", True), (-math.inf, NAN, "trial", False)),
    ],
)
def test_the_better_of_parent_and_trial_stays(parent, trial, ties, wins):
    assert OneToOne(ties=ties).choose([0.0, parent, 0.5, trial], Noise(1)) == [0, 3 if wins else 1, 2, 3]


def test_the_last_of_an_odd_population_is_neither_parent_nor_trial_and_stays():
    assert OneToOne().choose([1.0, 0.5, 0.0], Noise(1)) == [1, 1, 2]
    assert OneToOne().choose([1.0], Noise(1)) == [0]


def run(folder, *overrides):
    words = [sys.executable, "-m", "evoweights", "run", str(CONFIG), "observers=[]", "device=cpu", *overrides]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = (folder / "runs" / "differential_evolution" / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_no_parent_gets_worse_and_the_optimum_is_found(tmp_path):
    lines = run(tmp_path, "task.dimension=3", "population.size=24", "generations=120")
    parents = [lines[0]["start_fitness"][:12], *(line["fitness"][:12] for line in lines)]
    for before, after in pairwise(parents):
        assert all(new <= old for new, old in zip(after, before, strict=True))
    assert lines[-1]["best_fitness"] < 1e-2
    written = [each for line in lines for each in line["varied"] if "0-differential_evolution" in each["operators"]]
    assert len(written) == 12 * len(lines)
    assert all(each["row"] >= 12 and len(each["sources"]) == 4 for each in written)


def test_the_backends_end_with_the_same_bits(tmp_path):
    genomes = []
    for backend in ("cpu", "reference"):
        (tmp_path / backend).mkdir()
        run(tmp_path / backend, "generations=6", f"backend={backend}")
        (saved,) = (tmp_path / backend).glob("runs/*/best/*.safetensors")
        genomes.append(saved.read_bytes())
    assert genomes[0] == genomes[1]
