"""G22: every component is made from the defaults its settings declare, and every setting refuses bad values by name."""

import dataclasses
import json
import math
import typing
from pathlib import Path

import pytest

from evoweights.config.loading import config_from_text
from evoweights.config.schema import REQUIRED, settings_of
from evoweights.errors import UsageError
from operators_under_test import registered

ENTRIES = list(registered().entries())
BASE = {
    "name": "a_run",
    "generations": 1,
    "task": {"name": "function"},
    "population": {"name": "individuals"},
    "turn": {"name": "all"},
    "improve": [],
    "vary": [],
    "select": {"name": "best"},
    "observers": [],
    "controls": [],
}
PLACES = {"operator": "vary", "observer": "observers", "control": "controls"}
every_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda each: f"{each.kind}-{each.name}")


def needed(entry):
    """A value for every setting that has no default."""
    values = {bool: True, int: 1, float: 0.5, str: "text", Path: "text"}
    missing = [each for each in settings_of(entry.component).values() if each.default is REQUIRED]
    return {each.name: (each.facts.get("choices") or [values.get(each.hint, "text")])[0] for each in missing}


def in_its_place(entry, component):
    """The sections of a configuration with this component: its own, or that of the first that can hold it as a part."""
    place = PLACES.get(entry.kind, entry.kind)
    if place in BASE:
        return {**BASE, place: [component] if isinstance(BASE[place], list) else component}
    holders = [
        (each, name)
        for each in ENTRIES
        for name, setting in settings_of(each.component).items()
        if setting.kind == entry.kind != each.kind
    ]
    assert holders, f"no component holds one of kind {entry.kind}"
    holder, name = holders[0]
    return in_its_place(holder, {"name": holder.name, **needed(holder), name: component})


def configured(entry, **settings):
    """A configuration with this component in its place."""
    values = in_its_place(entry, {"name": entry.name, **needed(entry), **settings})
    return config_from_text(json.dumps(values), where="test", folder=Path())


def bad_values(each):
    """Values that a setting must refuse: of another type, beyond its bounds, not among its choices, not finite."""
    low, high = each.facts.get("minimum"), each.facts.get("maximum")
    kinds = {each.hint, *typing.get_args(each.hint)}
    if each.facts.get("choices"):
        yield "no_such_choice"
    if low is not None:
        yield math.nextafter(low, -math.inf) if isinstance(low, float) else low - 1
    if high is not None:
        yield math.nextafter(high, math.inf) if isinstance(high, float) else high + 1
    if kinds & {int, float} and str not in kinds:
        yield from ("many", True)
    if float in kinds:
        yield math.inf
    if int in kinds and float not in kinds:
        yield 0.5
    if each.hint is bool:
        yield from ("perhaps", 3)
    yield {"unexpected": {"mapping": 1}}


@every_entry
def test_a_component_is_made_from_its_defaults_and_equals_its_like(entry):
    made = [entry.component(**needed(entry)) for _ in range(2)]
    assert made[0] == made[1]
    assert made[0] is not made[1]
    assert repr(made[0]) == repr(made[1])
    assert entry.component.__qualname__ in repr(made[0])
    for each in settings_of(entry.component).values():
        if each.default is not REQUIRED:
            assert getattr(made[0], each.name) == each.default
        if isinstance(each.default, list | dict):
            assert getattr(made[0], each.name) is not getattr(made[1], each.name)


@pytest.mark.parametrize("entry", [each for each in ENTRIES if each.kind in PLACES | BASE], ids=lambda each: each.name)
def test_a_component_cannot_be_changed_and_copies_are_equal(entry):
    made = entry.component(**needed(entry))
    assert dataclasses.replace(made) == made
    for each in dataclasses.fields(made):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(made, each.name, None)


@every_entry
def test_good_values_are_accepted(entry):
    """Or the refusals below would mean nothing."""
    assert configured(entry).name == "a_run"


CASES = [
    (entry, each, value)
    for entry in ENTRIES
    for each in settings_of(entry.component).values()
    for value in bad_values(each)
]


@pytest.mark.parametrize(
    ("entry", "each", "value"), CASES, ids=[f"{entry.name}-{each.name}-{value}" for entry, each, value in CASES]
)
def test_a_bad_value_is_refused_with_the_name_of_its_setting(entry, each, value):
    with pytest.raises(UsageError, match=rf"\b{each.name}\b"):
        configured(entry, **{each.name: value})


@every_entry
def test_a_setting_that_does_not_exist_is_refused_by_name(entry):
    with pytest.raises(UsageError, match=r"no_such_setting.*unknown setting"):
        configured(entry, no_such_setting=1)
