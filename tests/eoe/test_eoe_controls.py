"""What EOE must beat: every control is a run that differs from EOE's in what it says, and in nothing else."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from test_koifish_preset import MODEL, small_config

from evoweights.comparing.measured import read_run
from evoweights.config.loading import load_config
from evoweights.config.run_config import RunConfig
from evoweights.errors import UsageError
from evoweights.population import WEIGHTS
from evoweights.runs import session
from evoweights.runs.controls import Planned, carry_out, compared, controls_called, controls_of, plan
from evoweights.storage.checkpoints import CheckpointStore
from evoweights_eoe.controls import CurrentToOthers
from evoweights_eoe.experts import Experts
from evoweights_eoe.full_depth import flop_ratio

ROOT = Path(__file__).parents[2]
SINGLE = ("dense", "dense_reset", "dense_noise", "full_depth", "full_depth_flops")
BETWEEN = ("no_evolution", "copy", "copy_moments", "pso", "mix", "best_to_current")
TURNS = {"turn": {"name": "round_robin"}, "improve": [{"name": "adamw", "steps": 3, "learning_rate": 0.01}]}


def config_of(folder: Path, **changes: object) -> RunConfig:
    """Three turns of two steps for each of two experts."""
    return small_config(folder, **{"name": "eoe", "generations": 6, **TURNS, **changes})


def planned(config: RunConfig, *names: str) -> list[Planned]:
    return plan(config, controls_called(config, names), left_out=lambda line: None)


def records(run: Planned) -> list[dict]:
    return [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]


def last(run: Planned):
    checkpoint = CheckpointStore(run.folder / "checkpoints").latest()
    assert checkpoint is not None
    return checkpoint


def test_all_controls_say_something_about_experts_that_evolve(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    assert {each.name for each in controls_of(config)} == {*SINGLE, *BETWEEN, "current_to_others"}
    assert {each.name for each in controls_of(config_of(tmp_path, vary=[]))} == set(SINGLE)
    assert not controls_of(config_of(tmp_path, population={"name": "individuals"}))


@pytest.mark.parametrize("file", ["eoe_gpt2", "eoe_gpt2_paper", "eoe_gpt2_koifish"])
def test_every_control_of_every_shipped_configuration_is_a_valid_one_with_its_data_and_seed(file: str) -> None:
    config = load_config(ROOT / "configs" / f"{file}.yaml")
    names = [each.name for each in controls_of(config) if each.name != "full_depth_flops"]  # which opens the data
    for each in planned(config, *names):
        assert each.config.task == config.task and each.config.seed == config.seed
        assert each.config.improve == config.improve and each.config.generations == config.generations
        assert each.config.name == f"{file}-{each.label}" and not each.config.controls


def test_a_control_that_is_the_configuration_itself_is_left_out(tmp_path: Path) -> None:
    config, told = config_of(tmp_path), []
    assert plan(config, [CurrentToOthers()], left_out=told.append) == []
    assert told == ["control current_to_others is the configuration itself; it is left out"]


def test_a_control_of_something_else_is_refused_with_those_that_fit(tmp_path: Path) -> None:
    config = config_of(tmp_path, vary=[])
    with pytest.raises(UsageError, match=r"mix says nothing about this configuration.*Known: dense, "):
        planned(config, "mix")


@pytest.mark.parametrize("name", [*SINGLE, *BETWEEN])
def test_every_control_runs_to_its_end_on_as_many_tokens(name: str, tmp_path: Path) -> None:
    config = config_of(tmp_path, generations=4)
    (control,) = planned(config, name)
    carry_out(control)
    found = records(control)
    assert len(last(control).state["population"]["individuals"]) == (1 if name in SINGLE else 2)
    if name != "full_depth_flops":
        assert found[-1]["step"] == 12 and found[-1]["tokens"] == 12 * 16


def test_the_dense_model_starts_as_expert_0_and_takes_the_same_first_turn(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    (dense,) = planned(config, "dense")
    for each in (Planned("eoe", config), dense):
        carry_out(each)
    eoe, alone = (records(each)[0]["improved"][0] for each in (Planned("eoe", config), dense))
    assert {key: eoe[key] for key in ("first_loss", "last_loss")} == {
        key: alone[key] for key in ("first_loss", "last_loss")
    }
    assert all(each["improved"][0]["row"] == 0 and not each["varied"] for each in records(dense))


def test_resetting_leaves_the_weights_alone_and_no_moment_of_the_blocks(tmp_path: Path) -> None:
    config = config_of(tmp_path, generations=1)
    dense, reset = planned(config, "dense", "dense_reset")
    for each in (dense, reset):
        carry_out(each)
    kept, cleared = (last(each).tensors("individuals/0000") for each in (dense, reset))
    assert torch.equal(kept[WEIGHTS], cleared[WEIGHTS])
    moments = [name for name in kept if "moment" in name]
    assert moments and all(kept[name].any() and not cleared[name].any() for name in moments)
    assert torch.equal(last(dense).tensors("shared")[WEIGHTS], last(reset).tensors("shared")[WEIGHTS])


def test_full_depth_has_all_blocks_and_its_shorter_run_the_same_flops(tmp_path: Path) -> None:
    config = config_of(tmp_path, generations=12)
    ratio = flop_ratio(config)
    assert 1.3 < ratio < 2.0  # twice the blocks, one head
    long, short = planned(config, "full_depth", "full_depth_flops")
    assert long.config.generations == 12 and short.config.generations == round(12 / ratio)
    assert Experts(blocks_per_expert=0) == dataclasses.replace(long.config.population, residual_scale=True)


def test_the_ledger_agrees_with_the_ratio_of_flops(tmp_path: Path) -> None:
    config = config_of(tmp_path, generations=4)
    dense, full = planned(config, "dense", "full_depth")
    for each in (dense, full):
        carry_out(each)
    spent = [read_run(each.folder).curves["flops"].last for each in (dense, full)]
    assert spent[1] / spent[0] == pytest.approx(flop_ratio(config), rel=1e-9)


def test_a_comparison_with_controls_is_at_equal_tokens(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    runs = [Planned("eoe", config), *planned(config, "dense")]
    for each in runs:
        carry_out(each)
    (row,) = compared(runs).rows["tokens"]
    losses = [records(each)[-1]["best_fitness"] for each in runs]
    assert row.points[-1].budget == 18 * 16
    assert row.points[-1].difference.mean == pytest.approx(losses[1] - losses[0])


@pytest.mark.parametrize(("experts", "size"), [(0, 2), (1, 1), (2, 2)])
def test_as_many_experts_as_are_asked_for(experts: int, size: int, tmp_path: Path) -> None:
    config = config_of(tmp_path, population={"name": "experts", "blocks_per_expert": 2, "experts": experts})
    task = session.open_task(config, tmp_path, torch.device("cpu"))
    population, _ = session.found_population(config, task, torch.device("cpu"), tmp_path / "population")
    assert population.size == size


def test_more_experts_than_there_are_blocks_for_are_refused(tmp_path: Path) -> None:
    config = config_of(tmp_path, population={"name": "experts", "blocks_per_expert": 2, "experts": 3})
    task = session.open_task(config, tmp_path, torch.device("cpu"))
    with pytest.raises(
        UsageError, match=rf"found 3, but {MODEL['n_layer']} blocks make 2 experts of 2. Take fewer experts"
    ):
        session.found_population(config, task, torch.device("cpu"), tmp_path / "population")
