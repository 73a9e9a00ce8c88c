"""What the page on subnetworks shows is what happens."""

import dataclasses
import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from engine_runs import config_in
from evoweights_est.est import SubnetworkTraining
from evoweights_est.presets import ALL

PAGE = (Path(__file__).parents[2] / "docs" / "subnetworks.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
TASK = {"name": "language_model", "model": "gpt2-nano", "data": "python_docs"}


@pytest.mark.parametrize("block", BLOCKS)
def test_every_configuration_is_valid(block, tmp_path):
    shown = OmegaConf.to_container(OmegaConf.create(block))
    population = {} if "preset" in shown else {"population": {"name": "individuals", "size": 1}}
    improver = config_in(tmp_path, {"task": TASK, "vary": [], **population, **shown}).improve[0].component
    assert isinstance(improver, SubnetworkTraining)
    assert improver.sampling == "window" and improver.optimizer.name == "adamw"


def test_the_settings_shown_are_the_defaults_unless_the_page_says_otherwise(tmp_path):
    shown = OmegaConf.to_container(OmegaConf.create(BLOCKS[0]))["improve"][0]
    defaults = SubnetworkTraining()
    found = {key: value for key, value in shown.items() if key not in ("name", "optimizer", "sampling")}
    assert {key: round(getattr(defaults, key), 4) for key in found} == found


def test_every_setting_is_on_the_page():
    names = {field.name for field in dataclasses.fields(SubnetworkTraining)}
    missing = {name for name in names - {"scale_heads", "scale_neurons"} if name not in PAGE}
    assert not missing


def test_presets_are_as_the_page_says():
    rows = re.findall(r"^`(\w+)` \| (.*?) \| ([\d.]+) \|", PAGE, flags=re.MULTILINE)
    published = [each for each in ALL if each.name != "est_depth"]
    assert [name for name, *_ in rows] == [each.name for each in published]
    for (_, stages, cost), preset in zip(rows, published, strict=True):
        first, second, third = (int(a) / int(b) for a, b in re.findall(r"(\d+)/(\d+)", stages))
        settings = preset.settings
        assert (settings["layers_until"], settings["widths_until"]) == pytest.approx((first, first + second))
        assert first + second + third == pytest.approx(1.0)
        assert first / 4 + second / 2 + third == pytest.approx(float(cost), abs=5e-4)
