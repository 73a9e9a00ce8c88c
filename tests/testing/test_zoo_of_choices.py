"""Every rule of selections and turns notices one that breaks it, and lets a sound one pass."""

import random

import pytest
import torch
from zoo_choices import SELECTIONS, TURNS, Selects, Turns

from evoweights.testing import check_selection, check_turn, selection_checks, turn_checks
from evoweights.testing.checks.selection import SELECTION_RULES
from evoweights.testing.checks.turn import TURN_RULES

CASES = [(selection_checks, *each) for each in SELECTIONS] + [(turn_checks, *each) for each in TURNS]


@pytest.fixture(autouse=True)
def generators_are_put_back():
    drawn = torch.get_rng_state(), random.getstate()
    yield
    torch.set_rng_state(drawn[0])
    random.setstate(drawn[1])


@pytest.mark.parametrize(("checks", "rule", "component"), CASES, ids=[f"{r}-{type(c).__name__}" for _, r, c in CASES])
def test_a_broken_choice_is_caught_by_the_check_that_names_its_fault(checks, rule, component):
    check = next(each for each in checks(component, profile="quick") if each.rule.id == rule)
    result, raised = check.result()
    assert result.status == "failed", result
    assert raised is not None


def test_sound_ones_pass():
    assert check_selection(Selects(), profile="quick").is_conforming
    assert check_turn(Turns(), profile="quick").is_conforming


def test_every_rule_has_a_specimen():
    assert {each.id for each in SELECTION_RULES} - {rule for rule, _ in SELECTIONS} == {"G22"}
    assert {each.id for each in TURN_RULES} == {rule for rule, _ in TURNS}
