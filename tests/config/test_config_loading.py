import dataclasses
import math
from pathlib import Path

import pytest
from bad_configs import GOOD
from fake_components import Console, Mix, Mode, Pop, RoundRobin, Step, Toy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from evoweights.config.loading import config_from_text, load_config
from evoweights.config.observers import with_observers
from evoweights.config.run_config import Evaluation, Phase, RunConfig, Scheduled
from evoweights.errors import UsageError

FULL = """\
name: everything
generations: 40
seed: 7
output: elsewhere
device: cuda:1
backend: reference
optimizer_state: reset
task:
  name: toy
  model: small
  layers: 3
  ratio: 1          # a whole number where a number is expected
  scale: 1e-3       # which plain YAML takes for text
  flag: true
  files: [a, b]
  widths: [1, 2, 3]
  limit: 5
  kind: green
  shape: square
  mode: EXACT
  folder: some/where
  weights: {a: 1, b: 2.5}
  learn: 0.5
population: {name: pop, size: 2}
turn: {name: round_robin, count: 2}
improve:
  - {name: step, steps: 3, every: 2, start: 1, stop: 9}
vary:
  - {name: mix, rate: 0.25}
  - {name: mix}
evaluate: {every: 3}
checkpoint: {every_generations: 1, every_seconds: 0, keep: 3}
observers:
  - {name: console, quiet: true}
"""


def load(text: str, overrides: tuple[str, ...] = (), **options: tuple[str, ...]) -> RunConfig:
    return config_from_text(text, overrides, where="x.yaml", folder=Path(), **options)


def test_every_setting_arrives_in_its_type() -> None:
    config = load(FULL)
    assert config.task == Toy(
        model="small",
        layers=3,
        ratio=1.0,
        scale=1e-3,
        flag=True,
        files=["a", "b"],
        widths=(1, 2, 3),
        limit=5,
        kind="green",
        shape="square",
        mode=Mode.EXACT,
        folder=Path("some/where"),
        weights={"a": 1.0, "b": 2.5},
        learn=0.5,
    )
    assert isinstance(config.task.ratio, float) and isinstance(config.task.widths, tuple)
    assert (config.population, config.turn) == (Pop(2), RoundRobin(2))
    assert config.improve == (Scheduled(Step(3), "0-step", Phase(2, 1, 9)),)
    assert [each.label for each in config.vary] == ["0-mix", "1-mix"]
    assert [each.component for each in config.vary] == [Mix(0.25), Mix()]
    assert config.observers == (Console(quiet=True),)
    assert (config.name, config.generations, config.seed, config.device) == ("everything", 40, 7, "cuda:1")
    assert (config.backend, config.optimizer_state, config.output) == ("reference", "reset", Path("elsewhere"))
    assert config.evaluate == Evaluation(3) and config.checkpoint.every_seconds == 0.0


def test_defaults_are_those_of_the_components() -> None:
    config = load(f"name: x\n{GOOD}")
    assert config.task == Toy(model="tiny") and config.turn == RoundRobin()
    assert [each.name for each in config.observers] == ["console", "tensorboard"]
    assert config.output == Path("runs") and config.improve == config.vary == ()


def test_default_component_can_be_set_without_naming_it() -> None:
    assert load(f"name: x\n{GOOD}turn: {{count: 2}}\n").turn == RoundRobin(count=2)


def test_override_of_a_default_is_gone_at_the_next_load() -> None:
    assert load(f"name: x\n{GOOD}", ("observers.0.quiet=true", "turn.count=3")).turn.count == 3
    config = load(f"name: x\n{GOOD}")
    assert config.observers[0] == Console(quiet=False) and config.turn.count == 1


def test_run_is_called_like_its_file_unless_it_says_otherwise() -> None:
    Path("some_run.yaml").write_text(GOOD)
    assert load_config("some_run.yaml").name == "some_run"
    assert load_config("some_run.yaml", ["name=other"]).name == "other"


@given(
    every=st.integers(1, 7),
    start=st.integers(0, 20),
    length=st.none() | st.integers(1, 20),
    generation=st.integers(0, 60),
)
def test_phase_is_active_from_start_until_stop_in_every_nth_generation(
    every: int, start: int, length: int | None, generation: int
) -> None:
    stop = None if length is None else start + length
    active = range(start, 61 if stop is None else stop, every)
    assert Scheduled(Mix(), "0-mix", Phase(every, start, stop)).is_active(generation) == (generation in active)


def test_text_has_every_default_and_gives_the_same_again() -> None:
    config = load(f"name: x\n{GOOD}")
    written = OmegaConf.to_container(OmegaConf.create(config.text))
    assert written["task"].keys() == {"name", *(each.name for each in dataclasses.fields(Toy))}
    assert written["checkpoint"] == {"every_generations": 5, "every_seconds": 300.0, "keep": 2}
    again = load(config.text)
    assert again.text == config.text and again.task == config.task


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    model=st.text(st.characters(exclude_categories=["Cs"]), max_size=20).filter(lambda text: "${" not in text),
    scale=st.floats(allow_nan=False, allow_infinity=False),
    files=st.lists(
        st.sampled_from(["1e-3", "no", "null", "~", "2024-01-01", "12:30", "0x1", " a ", "a: b", "é", "[", ""])
    ),
)
def test_text_gives_back_any_value(model: str, scale: float, files: list[str]) -> None:
    task = {"name": "toy", "model": model, "scale": scale, "files": files}
    values = {"name": "x", "generations": 3, "task": task, "population": {"name": "pop"}}
    config = load(OmegaConf.to_yaml(OmegaConf.create(values)))
    assert (config.task.model, config.task.files) == (model, files)
    assert math.copysign(1, config.task.scale) == math.copysign(1, scale) and config.task.scale == scale
    assert load(config.text).task == config.task


def test_place_of_a_run_is_not_in_its_text() -> None:
    assert load(FULL).text == load(FULL, ("output=somewhere/else",)).text
    assert load(FULL, ("output=~/runs",)).output == Path.home() / "runs"


def test_overrides_change_what_is_there_and_what_is_default() -> None:
    overrides = (
        *("task.layers=4", "vary.1.rate=0.75", "turn.count=3", "checkpoint.keep=9", "improve.0.stop=null"),
        *("observers.0.quiet=false", "task.files=[x]", "task.weights={c: 3}", "population={name: pop, size: 8}"),
    )
    config = load(FULL, overrides)
    assert (config.task.layers, config.task.files, config.task.weights) == (4, ["x"], {"c": 3.0})
    assert (config.vary[1].component.rate, config.turn.count, config.checkpoint.keep) == (0.75, 3, 9)
    assert config.improve[0].phase.stop is None and not config.observers[0].quiet and config.population == Pop(8)
    assert config.overrides == overrides
    assert load(GOOD + "name: x\n", ("observers.0.quiet=true",)).observers[0].quiet


def test_mistake_in_an_overridden_mapping_is_the_command_lines() -> None:
    with pytest.raises(UsageError, match=r"^command line: task\.layers: found 99"):
        load(FULL, ("task={name: toy, model: x, layers: 99}",))


def test_later_override_wins() -> None:
    assert load(FULL, ("seed=1", "seed=2")).seed == 2


@pytest.mark.parametrize(("typed", "name"), [("2024", "2024"), ("1e5", "1e5"), ("no", "no"), ("'3'", "3")])
def test_override_of_text_is_taken_as_typed(typed: str, name: str) -> None:
    assert load(FULL, (f"name={typed}",)).name == name


def test_preset_lies_under_the_file_and_an_entry_of_a_list_under_that_of_its_name() -> None:
    text = "name: x\npreset: small\npopulation: {name: pop}\n"
    config = load(text)
    assert (config.generations, config.task, config.preset) == (
        9,
        Toy("small", 3, files=["y"], weights={"a": 1.0}),
        "small",
    )
    assert [each.component for each in config.improve] == [Step(steps=7)]
    config = load(text + "task: {name: toy, layers: 5}\nimprove: [{name: step}]\n")
    assert config.task == Toy("small", 5, files=["y"], weights={"a": 1.0})
    assert [each.component for each in config.improve] == [Step(steps=7)]
    assert load(text + "improve: []\n").improve == ()
    assert load(text, ("improve.0.steps=2", "task.layers=1")).improve[0].component == Step(steps=2)
    assert load("name: x\npopulation: {name: pop}\n", ("preset=small",)).generations == 9


def test_a_setting_that_is_a_mapping_or_list_is_taken_whole() -> None:
    text = "name: x\npreset: small\npopulation: {name: pop}\n"
    assert load(text).task.weights == {"a": 1.0}
    assert load(text + "task: {name: toy, weights: {b: 2}, files: [z]}\n").task.weights == {"b": 2.0}
    assert load(text + "task: {name: toy, files: [z]}\n").task.files == ["z"]
    config = load(text, ("task.weights={c: 3}",))
    assert config.task.weights == load(config.text).task.weights == {"c": 3.0}


def test_mistake_in_a_preset_says_so() -> None:
    text = "name: x\npreset: small\npopulation: {name: pop}\ntask: {name: toy, model: null}\n"
    with pytest.raises(UsageError, match=r"^x\.yaml:4: task\.model: found nothing \(null\); expected text"):
        load(text)
    with pytest.raises(UsageError, match=r"^preset broken: improve\.0\.steps: found 101; expected .* from 0 to 100"):
        load("name: x\npreset: broken\npopulation: {name: pop}\n")


def test_component_of_another_name_takes_nothing_from_the_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError) as caught:
        load("name: x\npreset: small\npopulation: {name: pop}\ntask: {name: other}\n")
    assert "no task is called 'other'" in str(caught.value) and "layers" not in str(caught.value)


def test_anchors_may_be_used() -> None:
    config = load(
        "name: x\ngenerations: 3\ntask: {name: toy, model: &m tiny, files: [*m, *m]}\npopulation: {name: pop}\n"
    )
    assert config.task.files == ["tiny", "tiny"]


def test_equal_observers_are_refused() -> None:
    with pytest.raises(Exception, match="loaded twice"):
        load(FULL + "  - {name: console, quiet: true}\n")


def test_observers_can_be_exchanged_without_changing_the_text() -> None:
    config = load(FULL)
    quiet = with_observers(config, [Console(quiet=False)])
    assert quiet.observers == (Console(quiet=False),) and quiet.text == config.text and quiet.hooks is not config.hooks
