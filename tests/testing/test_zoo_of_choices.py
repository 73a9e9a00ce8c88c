"""Every rule of selections and turns notices one that breaks it, and lets a sound one pass."""

import pytest
from specimens import world_put_back
from zoo_choices import SELECTIONS, SOUND_SELECTIONS, SOUND_TURNS, TURNS

from evoweights.testing import check_selection, check_turn, selection_checks, turn_checks
from evoweights.testing.checks.selection import SELECTION_RULES
from evoweights.testing.checks.turn import TURN_RULES

CASES = [(selection_checks, *each) for each in SELECTIONS] + [(turn_checks, *each) for each in TURNS]


@pytest.fixture(autouse=True)
def world_is_put_back():
    with world_put_back():
        yield


@pytest.mark.parametrize(("checks", "rule", "component"), CASES, ids=[f"{r}-{type(c).__name__}" for _, r, c in CASES])
def test_a_broken_choice_is_caught_by_the_check_that_names_its_fault(checks, rule, component):
    check = next(each for each in checks(component, profile="quick") if each.rule.id == rule)
    result, raised = check.result()
    assert result.status == "failed", result
    assert raised is not None


def test_sound_ones_pass():
    reports = [check_selection(each, profile="quick", on_fail=None) for each in SOUND_SELECTIONS]
    reports += [check_turn(each, profile="quick", on_fail=None) for each in SOUND_TURNS]
    for report in reports:
        assert report.is_conforming, str(report)


def test_every_rule_has_a_specimen():
    assert {each.id for each in SELECTION_RULES} == {rule for rule, _ in SELECTIONS}
    assert {each.id for each in TURN_RULES} == {rule for rule, _ in TURNS}
