"""What the page on evolution strategies shows is what happens."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from evoweights.config.loading import config_from_text
from evoweights.config.run_config import RunConfig
from evoweights.plugins.loading import load_plugins
from evoweights.runs import session
from evoweights_es.presets import ALL

PAGE = (Path(__file__).parents[2] / "docs" / "evolution_strategies.md").read_text()
AROUND = {
    "generations": 1,
    "task": {"name": "digits", "hidden": [8], "train_images": 64},
    "population": {"name": "individuals", "size": 1},
    "observers": [],
}


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}[^\n]*\n(.*?)```", PAGE, flags=re.DOTALL)


def _configured(block: str, folder: Path, **changed: object) -> RunConfig:
    """A run of the configuration that the page shows in part, the reward of the page beside it."""
    (folder / "my_reward.py").write_text(_blocks("python")[0])
    shown = OmegaConf.to_container(OmegaConf.create(block))
    assert isinstance(shown, dict)
    text = OmegaConf.to_yaml(OmegaConf.create({**AROUND, "name": "shown", **shown, **changed}))
    return dataclasses.replace(config_from_text(text, where="the page", folder=folder), output=folder / "runs")


def test_the_reward_runs_and_is_as_short_as_it_looks(tmp_path: Path) -> None:
    shape = {"n_layer": 1, "n_embd": 8, "n_head": 1, "n_positions": 64, "model_type": "gpt2"}
    (tmp_path / "config.json").write_text(json.dumps(shape))
    config = _configured(next(each for each in _blocks("yaml") if "my_reward" in each), tmp_path)
    small = dataclasses.replace(config.task, model=str(tmp_path / "config.json"))
    assert session.run(dataclasses.replace(config, task=small)).best_fitness >= 0
    assert len([line for line in _blocks("python")[0].splitlines() if line.strip()]) <= 15


def test_the_numbers_that_steps_report_are_those_of_the_page(tmp_path: Path) -> None:
    improve = [{"name": "es", "steps": 2, "members": 4, "check_every": 1}]
    session.run(_configured("{}", tmp_path, improve=improve))
    lines = [json.loads(line) for line in (tmp_path / "runs" / "shown" / "steps.jsonl").read_text().splitlines()]
    single = {key for line in lines for key, value in line.items() if isinstance(value, float | int)}
    shown = set(re.findall(r"`es/(\w+)`", PAGE))
    assert single - {"generation", "step", "row"} == shown


def test_presets_are_as_the_page_says() -> None:
    row = r"^\| (`.*`) \| (\d+) \| (\S+) \| (\S+) \| .*\|$"
    rows = re.findall(row, PAGE, flags=re.MULTILINE)
    shown = {name: tuple(map(float, numbers)) for names, *numbers in rows for name in re.findall(r"\w+", names)}
    keys = ("members", "sigma", "learning_rate")
    assert shown == {each.name: tuple(float(each.settings[key]) for key in keys) for each in ALL}


@pytest.mark.parametrize("kind", ["perturbation", "shaping", "estimator", "update", "reward"])
def test_every_component_is_on_the_page(kind: str, tmp_path: Path) -> None:
    names = [each.name for each in load_plugins(folder=tmp_path).catalog.entries(kind)]
    assert names and all(f"`{name}`" in PAGE for name in names)
