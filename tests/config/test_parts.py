"""Components that hold other components: how a configuration gives them, and what it keeps."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from bad_configs import GOOD
from fake_components import Blend, Climb, Dense, LowRank, Rank, Score, Step
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from evoweights.config.loading import config_from_text
from evoweights.config.run_config import RunConfig
from evoweights.errors import UsageError

BLEND = Blend(Score(7.0), Score(3.0), 0.25)
"""The shaping of the preset `climber`."""


def load(text: str, *overrides: str) -> RunConfig:
    return config_from_text(f"name: x\n{GOOD}{text}", overrides, where="x.yaml", folder=Path())


def climb(settings: str, *overrides: str) -> Climb:
    return load(f"improve:\n  - {{name: climb, {settings}}}\n", *overrides).improve[0].component


def refusal(text: str, *overrides: str) -> list[str]:
    with pytest.raises(UsageError) as caught:
        load(text, *overrides)
    return [each.strip() for each in str(caught.value).splitlines()]


numbers = st.floats(0, 1e6)
ranks = st.builds(Rank, numbers)
scores = st.builds(Score, numbers)
shapings = st.recursive(
    ranks | scores,
    lambda inner: (
        st.tuples(inner, inner, st.floats(0, 1)).filter(lambda row: row[0] != row[1]).map(lambda row: Blend(*row))
    ),
    max_leaves=5,
)
climbs = st.builds(Climb, numbers, shapings, st.just(Dense()) | st.builds(LowRank, st.integers(1, 99)))


def written(component: Any, draw: Any) -> Any:
    """A component as a configuration may give it: settings that are the declared defaults perhaps left out."""
    values: dict[str, Any] = {"name": component.name}
    for each in dataclasses.fields(component):
        value = getattr(component, each.name)
        is_default = each.default == value if each.default is not dataclasses.MISSING else False
        if not (is_default and draw(st.booleans())):
            values[each.name] = written(value, draw) if dataclasses.is_dataclass(value) else value
    is_alone = len(values) == 1 and not isinstance(component, Climb)
    return component.name if is_alone and draw(st.booleans()) else values


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(component=climbs, data=st.data())
def test_any_component_comes_back_from_what_says_it_and_from_the_text_that_is_kept(component: Climb, data: Any) -> None:
    config = load(f"improve: [{json.dumps(written(component, data.draw))}]\n")
    assert config.improve[0].component == component
    again = config_from_text(config.text, where="again", folder=Path())
    assert again.improve == config.improve and again.text == config.text


def test_a_part_is_given_by_a_mapping_or_by_its_name_alone_or_left_out() -> None:
    assert climb("sigma: 1") == Climb(1.0, Rank(), Dense())
    assert climb("shaping: score") == climb("shaping: {name: score}") == Climb(shaping=Score())
    assert climb("shaping: {name: score, clip: 1}").shaping == Score(1.0)
    assert climb("noise: {name: low_rank, rank: 2}").noise == LowRank(2)
    assert climb("shaping: {name: blend, first: {name: rank, scale: 9}}").shaping == Blend(first=Rank(9.0))


def test_a_mapping_without_a_name_is_about_the_default_component() -> None:
    assert climb("shaping: {scale: 5}").shaping == Rank(5.0)
    assert climb("shaping: {}").shaping == Rank()
    assert climb("shaping: {name: blend, second: {}}").shaping == Blend(second=Rank(2.0))


def test_what_a_part_leaves_out_is_as_in_the_default_only_if_that_is_of_the_same_name() -> None:
    """The default of `second` is a rank of scale 2, that of `first` is a score."""
    for second in ("rank", "{name: rank}", "{}"):
        assert climb(f"shaping: {{name: blend, second: {second}}}").shaping == Blend(Score(), Rank(2.0))
    assert climb("shaping: {name: blend, first: rank}").shaping == Blend(Rank(1.0), Rank(2.0))


def test_the_text_that_is_kept_has_every_part_with_its_name_and_all_defaults() -> None:
    kept = OmegaConf.to_container(OmegaConf.create(load("improve: [{name: climb, shaping: blend}]\n").text))
    second = {"name": "rank", "scale": 2.0}
    shaping = {"name": "blend", "first": {"name": "score", "clip": 3.0}, "second": second, "share": 0.5}
    phase = {"every": 1, "start": 0, "stop": None}
    assert kept["improve"] == [{"name": "climb", **phase, "sigma": 0.1, "shaping": shaping, "noise": {"name": "dense"}}]


def test_interpolations_in_parts_are_used_and_kept_as_they_are() -> None:
    config = load("improve: [{name: climb, sigma: 0.5, shaping: {scale: '${improve.0.sigma}'}}]\n")
    assert config.improve[0].component.shaping == Rank(0.5)
    assert "scale: ${improve.0.sigma}" in config.text


def test_overrides_reach_into_parts() -> None:
    assert climb("sigma: 1", "improve.0.shaping=score").shaping == Score()
    assert climb("sigma: 1", "improve.0.shaping.name=score", "improve.0.shaping.clip=1").shaping == Score(1.0)
    assert climb("sigma: 1", "improve.0.shaping.clip=1", "improve.0.shaping.name=score").shaping == Score(1.0)
    assert climb("shaping: score", "improve.0.shaping.clip=2").shaping == Score(2.0)
    assert climb("sigma: 1", "improve.0.noise=low_rank", "improve.0.noise.rank=2").noise == LowRank(2)
    assert climb("sigma: 1", "improve.0.noise={name: low_rank, rank: 2}").noise == LowRank(2)
    blended = climb("shaping: {name: blend, first: rank}", "improve.0.shaping.first.scale=9")
    assert blended.shaping == Blend(first=Rank(9.0))


def test_an_override_of_the_whole_part_replaces_all_that_was_there() -> None:
    assert climb("shaping: {name: blend, share: 0.1}", "improve.0.shaping=score").shaping == Score()
    assert climb("shaping: {scale: 5}", "improve.0.shaping=rank").shaping == Rank()


def preset(name: str, improve: str = "", *overrides: str) -> list[Climb]:
    text = f"preset: {name}\n" + (f"improve: {improve}\n" if improve else "")
    config = load(text, *overrides)
    again = config_from_text(config.text, where="again", folder=Path())
    assert again.improve == config.improve and again.text == config.text
    return [each.component for each in config.improve]


def test_parts_of_a_preset_lie_under_those_of_the_user() -> None:
    assert preset("climber") == [Climb(0.5, BLEND)]
    assert preset("climber", "[{name: climb}]") == [Climb(0.5, BLEND)]
    assert preset("climber", "[{name: climb, sigma: 0.25}]") == [Climb(0.25, BLEND)]
    changed = dataclasses.replace(BLEND, share=0.75)
    for shaping in ("{share: 0.75}", "{name: blend, share: 0.75}"):
        assert preset("climber", f"[{{name: climb, shaping: {shaping}}}]") == [Climb(0.5, changed)]
    assert preset("climber", "[{name: climb, shaping: blend}]") == [Climb(0.5, BLEND)]
    inner = dataclasses.replace(BLEND, second=Score(1.0))
    assert preset("climber", "[{name: climb, shaping: {second: {clip: 1}}}]") == [Climb(0.5, inner)]


@pytest.mark.parametrize("rank", ["rank", "{name: rank}"])
def test_a_part_of_another_name_takes_nothing_from_the_preset(rank: str) -> None:
    assert preset("climber", f"[{{name: climb, shaping: {rank}}}]") == [Climb(0.5, Rank())]
    inner = dataclasses.replace(BLEND, first=Rank())
    assert preset("climber", f"[{{name: climb, shaping: {{first: {rank}}}}}]") == [Climb(0.5, inner)]
    assert preset("climber", "", f"improve.0.shaping={rank}") == [Climb(0.5, Rank())]
    assert preset("climber", "", "improve.0.shaping.name=rank") == [Climb(0.5, Rank())]


def test_what_is_typed_stays_when_the_name_that_is_typed_takes_the_presets_settings_away() -> None:
    assert preset("climber", "", "improve.0.shaping.scale=3", "improve.0.shaping.name=rank") == [Climb(0.5, Rank(3.0))]
    assert preset("climber", "", "improve.0.shaping.first.name=rank", "improve.0.shaping.first.scale=3") == [
        Climb(0.5, dataclasses.replace(BLEND, first=Rank(3.0)))
    ]
    assert preset("climber", "", "improve.0.name=step", "improve.0.steps=2") == [Step(2)]
    (shown,) = refusal("preset: climber\n", "improve.0.shaping.second.clip=1", "improve.0.shaping.name=rank")
    assert shown.startswith("command line: improve.0.shaping.second: unknown setting of shaping rank.")


def test_overrides_change_single_settings_of_a_preset() -> None:
    assert preset("climber", "", "improve.0.sigma=0.25") == [Climb(0.25, BLEND)]
    assert preset("climber", "", "improve.0.shaping.second.clip=1")[0].shaping.second == Score(1.0)
    assert preset("climber", "", "improve.0.noise=low_rank", "improve.0.noise.rank=3") == [
        Climb(0.5, BLEND, LowRank(3))
    ]


def test_a_preset_may_leave_out_the_name_of_a_default_part() -> None:
    assert preset("two_climbers") == [Climb(shaping=Rank(4.0)), Climb(shaping=Score())]
    for rank in ("rank", "{name: rank}", "{}"):
        assert preset("two_climbers", f"[{{name: climb, shaping: {rank}}}]") == [Climb(shaping=Rank(4.0))]
    assert preset("two_climbers", "[{name: climb, shaping: score}]") == [Climb(shaping=Score())]


def test_the_users_list_decides_what_there_is_and_each_entry_takes_from_the_presets_of_its_name() -> None:
    assert preset("climber", "[]") == []
    assert preset("climber", "[{name: step}]") == [Step()]
    assert preset("climber", "[{name: step}, {name: climb}]") == [Step(), Climb(0.5, BLEND)]
    assert preset("climber", "[{name: climb}, {name: climb}]") == [Climb(0.5, BLEND), Climb()]
    first, second = Climb(shaping=Rank(4.0)), Climb(shaping=Score())
    assert preset("two_climbers", "[{name: climb}, {name: step}, {name: climb, sigma: 0.1}]") == [first, Step(), second]


def test_the_phase_of_an_entry_comes_from_the_preset_too() -> None:
    assert load("preset: climber\nimprove: [{name: climb}]\n").improve[0].phase.every == 2
    assert load("preset: climber\nimprove: [{name: step}]\n").improve[0].phase.every == 1
    assert load("preset: climber\nimprove: [{name: climb, every: 3}]\n").improve[0].phase.every == 3


REFUSED = {
    "shaping: ranke": (
        "improve.0.shaping.name: no shaping is called 'ranke'. Did you mean 'rank'? Known: blend, rank, score."
    ),
    "shaping: {name: ranke}": (
        "improve.0.shaping.name: no shaping is called 'ranke'. Did you mean 'rank'? Known: blend, rank, score."
    ),
    "shaping: dense": (
        "improve.0.shaping.name: no shaping is called 'dense'. ('dense' exists as a component of kind 'noise'.) "
        "Known: blend, rank, score."
    ),
    "shaping: {name: score, clap: 1}": (
        "improve.0.shaping.clap: unknown setting of shaping score. Did you mean 'clip'? Known: clip."
    ),
    "noise: {rank: 4}": (
        "improve.0.noise.rank: unknown setting of noise dense (the default, as no name is given). It has no settings."
    ),
    "noise: low_rank": "improve.0.noise.rank: missing; noise low_rank needs it: a whole number, at least 1 (rank).",
    "shaping: {name: score, clip: -1}": "improve.0.shaping.clip: found -1; expected a number, at least 0.0.",
    "shaping: {every: 2}": (
        "improve.0.shaping.every: unknown setting of shaping rank (the default, as no name is given). Known: scale."
    ),
    "shaping: {name: blend, second: {name: score, clip: 1, clap: 1}}": (
        "improve.0.shaping.second.clap: unknown setting of shaping score. Did you mean 'clip'? Known: clip."
    ),
    "shaping: {name: blend, second: score}": "improve.0.shaping: first and second are the same.",
    "shaping: 5": (
        "improve.0.shaping: found 5; expected a shaping component: its name, or a mapping such as {name: ...}. "
        "Known shaping components: blend, rank, score."
    ),
    "shaping: null": (
        "improve.0.shaping: found nothing (null); expected a shaping component: its name, or a mapping such as "
        "{name: ...}. Known shaping components: blend, rank, score."
    ),
    "shaping: [rank]": (
        "improve.0.shaping: found a list; expected a shaping component: its name, or a mapping such as {name: ...}. "
        "Known shaping components: blend, rank, score."
    ),
    "shaping: {name: '${name}'}": (
        "improve.0.shaping: found a mapping without a name in plain text; expected a shaping component: its name, or a "
        "mapping such as {name: ...}. Known shaping components: blend, rank, score."
    ),
    "shaping: {scale: '${seed}', name: score}": (
        "improve.0.shaping.scale: unknown setting of shaping score. Known: clip."
    ),
}


@pytest.mark.parametrize("given", REFUSED)
def test_a_mistake_in_a_part_is_shown_with_its_path_and_line(given: str) -> None:
    assert refusal(f"improve:\n  - {{name: climb, {given}}}\n") == [f"x.yaml:6: {REFUSED[given]}"]


def test_words_about_a_value_from_an_interpolation_are_hidden_in_parts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOWEIGHTS_CLIP", "-77")
    (shown,) = refusal("improve: [{name: climb, shaping: {name: score, clip: '${oc.env:EVOWEIGHTS_CLIP}'}}]\n")
    assert shown.startswith("x.yaml:5: improve.0.shaping.clip: found a value from an interpolation (not shown)")
    assert "77" not in shown


def test_a_wrong_name_on_the_command_line_is_the_command_lines() -> None:
    for override in ("improve.0.shaping=ranke", "improve.0.shaping.name=ranke"):
        (shown,) = refusal("improve: [{name: climb}]\n", override)
        assert shown.startswith("command line: improve.0.shaping.name: no shaping is called 'ranke'.")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["rank", "score", "blend", "dense", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "first", "second", "share", "clip", "scale"]), inner, max_size=4)
    ),
    max_leaves=8,
)
KEYS = ("", ".0", ".0.name", ".0.shaping", ".0.shaping.name", ".0.shaping.first", ".0.shaping.first.name", ".0.noise")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(overrides=st.lists(st.tuples(st.sampled_from(KEYS), VALUES), min_size=1, max_size=3), below=st.booleans())
def test_any_value_of_a_part_is_taken_or_explained(overrides: list[tuple[str, Any]], below: bool) -> None:
    text = "preset: climber\n" if below else "improve: [{name: climb, shaping: blend}]\n"
    try:
        config = load(text, *[f"improve{key}={json.dumps(value)}" for key, value in overrides])
    except UsageError as error:
        assert "improve" in str(error)
    else:
        again = config_from_text(config.text, where="again", folder=Path())
        assert again.text == config.text and again.improve == config.improve


def test_components_with_parts_are_values() -> None:
    one = Climb(shaping=Blend(first=Rank(9.0)))
    assert one == Climb(shaping=Blend(first=Rank(9.0))) and hash(one) == hash(Climb(shaping=Blend(first=Rank(9.0))))
    assert one != Climb() and len({one, Climb(), Climb()}) == 2
    assert dataclasses.replace(one, sigma=1.0).shaping == one.shaping
    assert dataclasses.replace(one, shaping=Score()) == Climb(shaping=Score())
    assert repr(Climb()) == "Climb(sigma=0.1, shaping=Rank(scale=1.0), noise=Dense())"
