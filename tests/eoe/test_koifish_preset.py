"""The preset that follows the published code, run on a tiny model."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from evoweights.config.loading import config_from_text
from evoweights.config.run_config import RunConfig
from evoweights.runs import session
from evoweights.storage.checkpoints import CheckpointStore

MODEL = {"model_type": "gpt2", "n_layer": 4, "n_embd": 16, "n_head": 2, "n_positions": 16, "vocab_size": 256}


def small_config(folder: Path, **changes: object) -> RunConfig:
    """Five turns of a GPT-2 of four tiny blocks, two to an expert, on a text that repeats itself."""
    (folder / "config.json").write_text(json.dumps(MODEL))
    (folder / "text.txt").write_text("to be or not to be, that is the question. " * 80)
    values = {
        "name": "koifish",
        "preset": "koifish",
        "generations": 5,
        "task": {
            "name": "language_model",
            "model": str(folder / "config.json"),
            "data": "text",
            "files": [str(folder / "text.txt")],
            "tokenizer": "bytes",
            "context": 8,
            "batch": 2,
        },
        "population": {"name": "experts", "blocks_per_expert": 2},
        "turn": {"name": "koifish", "switch": 3},
        "observers": [],
        **changes,
    }
    config = config_from_text(OmegaConf.to_yaml(OmegaConf.create(values)), where="test", folder=folder)
    return dataclasses.replace(config, output=folder / "runs")


def test_the_preset_fills_what_the_user_leaves_out_and_yields_to_what_they_say(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    improver = config.improve[0].component
    assert (improver.clip_by, improver.bias_correction, improver.warmup_steps) == ("tensor_by_depth", "run", 600)
    assert [(each.component.name, each.component.scope) for each in config.vary] == [
        ("pso", "matrices"),
        ("crossover", "matrices"),
    ]
    assert config.turn.switch == 3
    assert config.population.residual_scale is False
    assert config.optimizer_state == "keep"


@pytest.mark.parametrize(("total_steps", "events"), [(0, 4), (14, 4), (13, 3), (7, 1)])
def test_events_happen_as_often_as_the_published_formula_says(tmp_path: Path, total_steps: int, events: int) -> None:
    """N = 2 and S = 3: floor((T + 1) / S) - N + 1 events, where T = 14 is five whole turns."""
    session.run(small_config(tmp_path, turn={"name": "koifish", "switch": 3, "total_steps": total_steps}))
    run = tmp_path / "runs" / "koifish"
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert sum(bool(line["varied"]) for line in lines) == events
    assert lines[-1]["step"] == (total_steps or 14)
    assert events == ((total_steps or 14) + 1) // 3 - 2 + 1


def test_an_event_leaves_vectors_moments_and_the_leader_as_they_were(tmp_path: Path) -> None:
    """The same run without operators in its last generation differs in the follower's matrices alone."""
    saved = {}
    for name, vary in (("with", None), ("without", [])):
        folder = tmp_path / name
        folder.mkdir()
        changes = {} if vary is None else {"vary": vary}
        session.run(small_config(folder, generations=2, **changes))
        checkpoint = CheckpointStore(folder / "runs" / "koifish" / "checkpoints").latest()
        assert checkpoint is not None
        saved[name] = [checkpoint.tensors(f"individuals/{row:04d}") for row in range(2)] + [
            checkpoint.tensors("shared")
        ]
    for row, (with_event, without) in enumerate(zip(saved["with"], saved["without"], strict=True)):
        for name, tensor in with_event.items():
            changed = not torch.equal(tensor, without[name])
            assert changed == (row == 0 and name == "weights"), (row, name)
    matrices = 2 * 4 * 1024  # two blocks of four matrices, none larger than a tile
    follower, before = saved["with"][0]["weights"], saved["without"][0]["weights"]
    assert torch.equal(follower[matrices:], before[matrices:])
