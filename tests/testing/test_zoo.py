"""Checks that cannot fail check nothing: every rule is shown an operator that breaks it, and notices.

The operators are modelled on bugs of other projects, which their docstrings name. Sound ones of the same makings keep all rules.
"""

import pytest
from kill_matrix import OF_THE_ENGINE
from specimens import COMPILED
from zoo_crossover import CROSSOVER, SOUND_CROSSOVER
from zoo_general import GENERAL
from zoo_mutation import MUTATION, SOUND_MUTATION
from zoo_swarm import SOUND_SWARM, SWARM

from evoweights.testing import NonConforming, check_operator, operator_checks
from evoweights.testing.checks import OPERATOR_RULES

ZOO = (*GENERAL, *CROSSOVER, *SWARM, *MUTATION)
SOUND = (*SOUND_CROSSOVER, *SOUND_SWARM, *SOUND_MUTATION)


pytestmark = pytest.mark.usefixtures("as_on_a_build_server")


def check(operator, rule):
    backend = "cpu" if rule in COMPILED else "reference"
    return next(each for each in operator_checks(operator, profile="quick", backend=backend) if each.rule.id == rule)


@pytest.mark.parametrize(
    ("rule", "operator", "words"), ZOO, ids=[f"{rule}-{type(each).__name__}" for rule, each, _ in ZOO]
)
def test_a_broken_operator_is_caught_by_the_check_that_names_its_fault(rule, operator, words):
    result, raised = check(operator, rule).result()
    assert result.status == "failed", result
    assert raised is not None
    assert words in result.reason.removeprefix(result.rule)
    assert len(str(raised)) < 2000, "what is shown of two populations is a few words"


@pytest.mark.parametrize("operator", SOUND, ids=lambda each: type(each).__name__)
def test_a_sound_operator_of_the_same_makings_keeps_every_rule(operator):
    report = check_operator(operator, profile="quick", on_fail=None)
    assert report.is_conforming, str(report)


def test_the_zoo_is_large_and_has_a_specimen_for_every_rule():
    assert len({type(operator) for _, operator, _ in ZOO}) >= 40
    assert all((type(operator).__doc__ or "").strip() for _, operator, _ in ZOO)
    caught = {rule for rule, *_ in ZOO}
    assert {each.id for each in OPERATOR_RULES} - caught == set(OF_THE_ENGINE["operator"])


def test_a_report_names_the_rule_and_raises():
    broken = next(operator for rule, operator, _ in ZOO if rule == "X04")
    with pytest.raises(NonConforming, match=r"broken.* breaks the contract[\s\S]*EW-X04 failed"):
        check_operator(broken, profile="quick")
