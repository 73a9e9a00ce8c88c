"""Every rule of improvers and tasks notices one that breaks it, and lets a sound one pass."""

import pytest
import torch
from specimens import world_put_back
from zoo_improvers import IMPROVERS, Descends, Spills
from zoo_tasks import TASKS, Line

from evoweights.testing import check_improver, check_task, improver_checks, task_checks
from evoweights.testing.checks.improver import IMPROVER_RULES
from evoweights.testing.checks.task import TASK_RULES

CASES = [(improver_checks, *each) for each in IMPROVERS] + [(task_checks, *each) for each in TASKS]


@pytest.fixture(autouse=True)
def world_is_put_back():
    with world_put_back():
        yield


@pytest.mark.parametrize(("checks", "rule", "component"), CASES, ids=[f"{r}-{type(c).__name__}" for _, r, c in CASES])
def test_a_broken_component_is_caught_by_the_check_that_names_its_fault(checks, rule, component):
    check = next(each for each in checks(component, profile="quick") if each.rule.id == rule)
    result, raised = check.result()
    assert result.status == "failed", result
    assert isinstance(raised, Exception)


def test_sound_ones_pass():
    for report in (
        check_improver(Descends(), profile="quick", on_fail=None),
        check_task(Line(), profile="quick", on_fail=None),
    ):
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


def test_every_rule_has_a_specimen():
    assert {each.id for each in IMPROVER_RULES} == {rule for rule, _ in IMPROVERS}
    assert {each.id for each in TASK_RULES} == {rule for rule, _ in TASKS}
