"""Every configuration that is shipped validates and builds; the large ones without their data, and small enough to run."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from evoweights.config.loading import load_config
from evoweights.runs import session
from evoweights.runs.planning import estimate
from evoweights_lm.presets import PRESETS

ROOT = Path(__file__).parents[2]
LARGE = sorted((ROOT / "configs").glob("eoe_gpt2_*m.yaml"))
SMALL = [each for each in sorted((ROOT / "configs").glob("*.yaml")) if each not in LARGE]
SMALL += [ROOT / "examples" / "local_operator" / "drift.yaml"]

PUBLISHED = {
    "eoe_gpt2_124m": dict(experts=2, genes=42_527_232, steps=122_070, tokens=40_960, rate=1e-3, events=1219),
    "eoe_gpt2_774m": dict(experts=6, genes=118_064_640, steps=61_035, tokens=81_920, rate=1e-3, events=605),
    "eoe_gpt2_1558m": dict(experts=6, genes=245_926_400, steps=61_035, tokens=81_920, rate=6e-4, events=605),
}
"""Of one expert the genes that it does not share; events are those that the published logs contain (124M by the formula)."""


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.name)
def test_it_validates_builds_and_takes_a_step(path: Path) -> None:
    found = estimate(load_config(path))
    assert found.genes > 0
    assert found.steps == 0 or found.seconds is not None


@pytest.mark.parametrize("path", [*SMALL, *LARGE], ids=lambda path: path.name)
def test_its_header_says_what_it_is(path: Path) -> None:
    assert path.read_text().startswith("# ")


def token_shard(path: Path, tokens: int) -> str:
    """A file of random GPT-2 token ids in llm.c's format."""
    header = np.zeros(256, dtype="<i4")
    header[:3] = 20240520, 1, tokens
    ids = np.random.default_rng(tokens).integers(0, 50257, tokens).astype("<u2")
    path.write_bytes(header.tobytes() + ids.tobytes())
    return str(path)


@pytest.mark.parametrize("path", LARGE, ids=lambda path: path.name)
def test_the_large_ones_are_as_published_and_planned_within_seconds(path: Path, tmp_path: Path) -> None:
    train, held_out = token_shard(tmp_path / "train.bin", 200_000), token_shard(tmp_path / "val.bin", 20_000)
    config = load_config(path, [f"task.files=[{train}]", f"task.validation_files=[{held_out}]", "device=cpu"])
    found, wanted = estimate(config), PUBLISHED[path.stem]
    assert (found.individuals, found.genes, found.steps) == (wanted["experts"], wanted["genes"], wanted["steps"])
    assert found.tokens == wanted["tokens"] * wanted["steps"]
    assert found.seconds is None  # nobody waits for a CPU to take such a step
    improver = config.improve[0].component
    assert (improver.learning_rate, improver.moments) == (wanted["rate"], "bfloat16")
    turns = [config.turn.choose(g, found.individuals, None) for g in range(config.generations)]  # type: ignore[arg-type]
    assert sum(turn.varies for turn in turns) == wanted["events"]
    assert sum(turn.steps or 0 for turn in turns) == wanted["steps"]
    # weights, gradient and two moments of one expert and of what is shared, two bytes each
    assert found.device_bytes == pytest.approx(8 * (found.genes + found.shared_genes), rel=0.01)
    assert found.host_bytes == pytest.approx(
        6 * found.genes * found.individuals + 2 * (found.genes + found.shared_genes), rel=0.01
    )


def test_the_largest_fits_the_memory_of_the_published_run(tmp_path: Path) -> None:
    """23 GB with all experts on the device."""
    train, held_out = token_shard(tmp_path / "train.bin", 200_000), token_shard(tmp_path / "val.bin", 20_000)
    files = [f"task.files=[{train}]", f"task.validation_files=[{held_out}]", "device=cpu"]
    found = estimate(load_config(ROOT / "configs" / "eoe_gpt2_1558m.yaml", files))
    assert found.peak_bytes < 23e9


@pytest.mark.parametrize("path", LARGE, ids=lambda path: path.name)
def test_its_smoke_profile_runs_to_the_end_with_blocks_of_width_32(path: Path, tmp_path: Path) -> None:
    size = PRESETS[path.stem.replace("eoe_gpt2", "gpt2").replace("_", "-")]
    shape = {"n_layer": size.layers, "n_embd": 32, "n_head": 2, "n_positions": 1024}
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "gpt2", "activation_function": size.activation} | shape)
    )
    overrides = [f"task.model={tmp_path / 'config.json'}", "task.vocabulary_size=300", "observers=[]", "device=cpu"]
    config = load_config(path, overrides, profile="smoke")
    result = session.run(dataclasses.replace(config, output=tmp_path))
    assert len(result.table) == PUBLISHED[path.stem]["experts"]
    lines = [json.loads(line) for line in (tmp_path / config.name / "metrics.jsonl").read_text().splitlines()]
    assert any(line["varied"] for line in lines)
    assert config.name.endswith("_smoke")
