"""Every rule of improvers, tasks, selections and turns notices one that breaks it, and lets a sound one pass."""

import pytest
import torch
from zoo_choices import SELECTIONS, SOUND_SELECTIONS, SOUND_TURNS, TURNS
from zoo_improvers import IMPROVERS, Descends, Spills
from zoo_tasks import TASKS, Line

from evoweights.testing import (
    check_improver,
    check_selection,
    check_task,
    check_turn,
    improver_checks,
    selection_checks,
    task_checks,
    turn_checks,
)
from evoweights.testing.checks.improver import IMPROVER_RULES
from evoweights.testing.checks.selection import SELECTION_RULES
from evoweights.testing.checks.task import TASK_RULES
from evoweights.testing.checks.turn import TURN_RULES

ZOOS = (
    (improver_checks, IMPROVER_RULES, IMPROVERS),
    (task_checks, TASK_RULES, TASKS),
    (selection_checks, SELECTION_RULES, SELECTIONS),
    (turn_checks, TURN_RULES, TURNS),
)
CASES = [(checks, *each) for checks, _, zoo in ZOOS for each in zoo]


pytestmark = pytest.mark.usefixtures("as_on_a_build_server")


@pytest.mark.parametrize(
    ("checks", "rule", "component", "words"), CASES, ids=[f"{r}-{type(c).__name__}" for _, r, c, _ in CASES]
)
def test_a_broken_component_is_caught_by_the_check_that_names_its_fault(checks, rule, component, words):
    check = next(each for each in checks(component, profile="quick") if each.rule.id == rule)
    result, raised = check.result()
    assert result.status == "failed", result
    assert isinstance(raised, Exception)
    assert words in result.reason.removeprefix(result.rule)
    assert len(str(raised)) < 2000, "what is shown of two states is a few words"


def test_sound_ones_pass():
    reports = [check_improver(Descends(), profile="quick", on_fail=None)]
    reports += [check_task(Line(), profile="quick", on_fail=None)]
    reports += [check_selection(each, profile="quick", on_fail=None) for each in SOUND_SELECTIONS]
    reports += [check_turn(each, profile="quick", on_fail=None) for each in SOUND_TURNS]
    for report in reports:
        assert report.is_conforming, str(report)


class Remembers(Descends):
    """Keeps a number with the individual, in bfloat16."""

    def step(self, mounted, feed, moment):
        value = super().step(mounted, feed, moment)
        before = mounted.memory.get("descends.memory", torch.zeros(1, dtype=torch.bfloat16))
        mounted.memory = {"descends.memory": before + 1}
        return value


def test_memory_may_be_of_any_type():
    report = check_improver(Remembers(), profile="quick", on_fail=None)
    assert report.is_conforming, str(report)


def test_what_is_global_and_changed_is_named():
    report = check_improver(Spills(), profile="quick", on_fail=None)
    (broken,) = [each for each in report.failures if each.id == "EW-G06"]
    assert "not left as it was: torch's generator (" in broken.reason


@pytest.mark.parametrize(("rules", "zoo"), [each[1:] for each in ZOOS], ids=[each[0].__name__ for each in ZOOS])
def test_every_rule_has_a_specimen(rules, zoo):
    assert {each.id for each in rules} == {rule for rule, *_ in zoo}
