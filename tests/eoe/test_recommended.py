"""What was left of the attempts to make EOE pay: nothing lost from the first turn on, and a running average."""

import json
from pathlib import Path

import torch
from test_koifish_preset import small_config

from evoweights.runs import session
from evoweights.storage.checkpoints import CheckpointStore

ADAMW = {"name": "adamw", "steps": 3, "learning_rate": 1e-2}
HANDED_ON = {"name": "crossover", "rate": 1.0, "scope": "all"}


def last_weights(folder: Path, row: int) -> dict[str, torch.Tensor]:
    """The tensors of an individual, and of the part that all share, in the last checkpoint of the run."""
    checkpoint = CheckpointStore(folder / "runs" / "koifish" / "checkpoints").latest()
    assert checkpoint is not None
    shared = {f"shared {name}": each for name, each in checkpoint.tensors("shared").items()}
    return {**checkpoint.tensors(f"individuals/{row:04d}"), **shared}


def run(folder: Path, **changes: object) -> list[dict]:
    """A run of five turns; its records."""
    folder.mkdir()
    values = {"turn": {"name": "round_robin"}, "improve": [ADAMW], **changes}
    session.run(small_config(folder, **values))
    lines = (folder / "runs" / "koifish" / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_experts_that_hand_on_everything_from_the_first_turn_on_are_one_model_to_the_bit(tmp_path: Path) -> None:
    """Weights, moments and step counts; what is left of EOE's evolution is its perturbation."""
    several = {"population": {"name": "experts", "blocks_per_expert": 2}, "preset": "eoe_from_start"}
    run(tmp_path / "experts", **several, vary=[HANDED_ON, {"name": "pso", "social": 0.0, "scope": "all"}])
    alone = {"population": {"name": "experts", "blocks_per_expert": 2, "experts": 1}, "preset": None}
    run(tmp_path / "alone", **alone, vary=[])
    found, wanted = last_weights(tmp_path / "experts", 0), last_weights(tmp_path / "alone", 0)
    assert found.keys() == wanted.keys()
    for name, each in wanted.items():
        assert torch.equal(found[name], each), name


def test_from_the_start_means_that_the_first_turn_is_passed_on(tmp_path: Path) -> None:
    records = run(tmp_path / "run", preset="eoe_from_start", population={"name": "experts", "blocks_per_expert": 2})
    assert [len(each["varied"]) for each in records] == [1] * 5
    assert records[0]["varied"][0]["operators"] == ["0-pso", "1-crossover"]


def test_the_other_expert_is_a_running_average_of_the_one_that_trains(tmp_path: Path) -> None:
    average = {"preset": "eoe_average", "turn": {"name": "leader"}}
    for generations in (4, 5):
        records = run(tmp_path / str(generations), **average, generations=generations)
        assert {each["improved"][0]["row"] for each in records} == {0}
    before, after = (last_weights(tmp_path / name, 1)["weights"] for name in ("4", "5"))
    trained = last_weights(tmp_path / "5", 0)["weights"]
    torch.testing.assert_close(after, 0.7 * before + 0.3 * trained)
    assert not torch.equal(before, after)
