import os
from pathlib import Path

import pytest
from bad_configs import GOOD
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evoweights.config.loading import config_from_text
from evoweights.config.run_config import RunConfig
from evoweights.errors import UsageError

SECRET = "hunter2-5f3a"


def load(task: str, **options: tuple[str, ...]) -> RunConfig:
    text = f"name: demo\ngenerations: 3\ntask: {{name: toy, {task}}}\npopulation: {{name: pop}}\n"
    return config_from_text(text, where="x.yaml", folder=Path(), **options)


def test_key_gives_the_value_in_its_type() -> None:
    task = load("model: 'm-${name}-${task.layers}', layers: '${generations}', files: ['${name}', x]").task
    assert (task.model, task.layers, task.files) == ("m-demo-3", 3, ["demo", "x"])


def test_default_of_another_setting_can_be_used() -> None:
    assert load("model: 'seed ${seed} ${checkpoint.keep}'").task.model == "seed 42 2"


def test_variable_is_converted_to_the_type_of_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOWEIGHTS_LAYERS", "4")
    monkeypatch.setenv("EVOWEIGHTS_FLAG", "true")
    task = load(
        "model: '${oc.env:EVOWEIGHTS_NONE,tiny}', layers: '${oc.env:EVOWEIGHTS_LAYERS}', "
        "flag: '${oc.env:EVOWEIGHTS_FLAG}', ratio: '${oc.env:EVOWEIGHTS_NONE,0.25}'"
    ).task
    assert (task.model, task.layers, task.flag, task.ratio) == ("tiny", 4, True, 0.25)


@pytest.mark.parametrize("name", ["EVOWEIGHTS_X", "CUDA_VISIBLE_DEVICES", "HOME", "USER", "SLURM_JOB_ID"])
def test_harmless_variables_may_be_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "value")
    assert load(f"model: '${{oc.env:{name}}}'").task.model == "value"


@pytest.mark.parametrize("name", ["PATH", "AWS_SECRET_ACCESS_KEY", "HOMEX", "EVOWEIGHTS", "HF_TOKEN"])
def test_other_variables_only_if_the_command_line_allows_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, SECRET)
    with pytest.raises(
        UsageError, match=f"may not read the environment variable {name}.*add --allow-env {name}"
    ) as caught:
        load(f"model: '${{oc.env:{name}}}'")
    assert SECRET not in str(caught.value)
    assert load(f"model: '${{oc.env:{name}}}'", allow_env=(name,)).task.model == SECRET


def test_secret_is_used_but_not_in_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOWEIGHTS_TOKEN", SECRET)
    config = load("model: '${oc.env:EVOWEIGHTS_TOKEN}', files: ['a${oc.env:EVOWEIGHTS_TOKEN}b']")
    assert config.task.model == SECRET and config.task.files == [f"a{SECRET}b"]
    assert SECRET not in config.text and "${oc.env:EVOWEIGHTS_TOKEN}" in config.text
    again = config_from_text(config.text, where="again", folder=Path())
    assert again.task == config.task and again.text == config.text


SETTINGS = ("layers", "ratio", "flag", "kind", "shape", "mode", "limit", "widths", "weights")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(setting=st.sampled_from(SETTINGS), pattern=st.sampled_from(["{}", "[{}]", "{{a: {}}}", "[[{}]]"]))
def test_secret_is_in_no_message(setting: str, pattern: str) -> None:
    value = pattern.format("'${oc.env:EVOWEIGHTS_SECRET}'")
    os.environ["EVOWEIGHTS_SECRET"] = SECRET
    try:
        with pytest.raises(UsageError) as caught:
            load(f"model: tiny, {setting}: {value}")
    finally:
        del os.environ["EVOWEIGHTS_SECRET"]
    assert SECRET not in str(caught.value)
    error: BaseException | None = caught.value
    assert f"task.{setting}" in str(error)


@pytest.mark.parametrize("key", ["name", "device", "seed", "backend"])
def test_secret_at_the_top_is_in_no_message(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOWEIGHTS_SECRET", f"/{SECRET}")
    with pytest.raises(UsageError, match="not shown") as caught:
        config_from_text(GOOD + f"{key}: ${{oc.env:EVOWEIGHTS_SECRET}}\n", where="x", folder=Path())
    assert SECRET not in str(caught.value)


def test_secret_is_not_repeated_by_a_component_that_refuses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOWEIGHTS_LOW", "12345.5")
    text = GOOD + "name: x\nvary: [{name: band, low: '${oc.env:EVOWEIGHTS_LOW}'}]\n"
    with pytest.raises(UsageError, match="do not go together") as caught:
        config_from_text(text, where="x", folder=Path())
    assert "12345" not in str(caught.value)


def test_explosion_is_bounded() -> None:
    doubling = ", ".join(f"f{i}: '${{task.weights.f{i + 1}}}${{task.weights.f{i + 1}}}'" for i in range(60))
    with pytest.raises(UsageError, match="more than 100 steps"):
        load(f"model: tiny, weights: {{{doubling}, f60: x}}")
