"""The case that a broken rule tells is the one that it was tried on, also where that is not the one that was drawn."""

import pytest
from specimens import world_put_back
from zoo_choices import SELECTIONS
from zoo_crossover import CROSSOVER
from zoo_general import GENERAL
from zoo_mutation import MUTATION
from zoo_swarm import SWARM

from evoweights.testing import operator_checks, selection_checks
from evoweights.testing.checks import OPERATOR_RULES
from evoweights.testing.rules import tried_on
from evoweights.testing.telling import told_of

TOLD = {
    "G05": "with reference, (8192,) in torch.float32, 3 individuals, moderate genes,",
    "G12": "individuals, moderate genes,",
    "G15": "with reference, (4097,) in torch.float32, 2 individuals, moderate genes,",
    "G15-own": "with reference, (1025,) in torch.float32, 2 individuals, moderate genes,",
    "M02": "with reference, (1025,) in torch.float32, 2 individuals, moderate genes,",
    "M03": "with reference, (1024, 64) in torch.float32, 2 individuals, moderate genes,",
    "M08": "with reference, (65536,) in torch.bfloat16, 2 individuals, moderate genes,",
    "M11": "with reference, (512, 256) in torch.float32, 2 individuals, moderate genes,",
    "P08": "with reference, (65536,) in torch.float32, 2 individuals, moderate genes,",
    "P11": "with reference, (64,) in torch.float32, 2 individuals, moderate genes,",
    "X06": "with reference, (256,) in torch.float32, 2 individuals, moderate genes,",
    "X08-shift": "with reference, (1025,) in torch.float32, 2 individuals, moderate genes,",
}
FIRST = {rule: each for rule, each, _ in reversed((*GENERAL, *CROSSOVER, *SWARM, *MUTATION))}


def reason(operator, rule, backend="reference"):
    """What is said of a broken rule."""
    made = operator_checks(operator, profile="quick", backend=backend)
    with world_put_back():
        return next(each for each in made if each.rule.id == rule).result()[0].reason


@pytest.mark.parametrize("rule", TOLD)
def test_a_rule_that_needs_another_population_tells_that_one(rule):
    assert f"{TOLD[rule]} seed " in reason(FIRST[rule], rule)


@pytest.mark.parametrize("rule", ["M04", "M04-independent", "M08"])
def test_a_rule_that_does_not_compile_says_so(rule):
    assert " with reference, " in reason(FIRST[rule], rule, backend="cpu")


def test_a_rule_hands_its_check_what_it_tells():
    """Whatever the rules do instead of the draw, ``on`` says; only some tell a smaller part of that."""
    seen = []
    for each in operator_checks(FIRST["G15"], profile="quick", backend="reference"):
        case = next(each.cases.first(each.profile, 1))
        seen += [each.rule.id] if each.rule.on and each.rule.on(each.component, *case) != case else []
    assert {"G05", "G15", "G20", "M04", "X05", "X09", "P05"} <= {*seen} <= {each.id for each in OPERATOR_RULES}


def test_a_selection_is_told_of_with_the_losses_it_was_given():
    selection = next(each for rule, each, _ in SELECTIONS if rule == "L05")
    (check,) = [each for each in selection_checks(selection, profile="quick") if each.rule.id == "L05"]
    assert " with [3.0, 0.0, 1.0, 5.0, 2.0, 4.0], " in check.result()[0].reason


def test_of_several_cases_the_innermost_is_told():
    with pytest.raises(ValueError, match="odd") as raised, tried_on("the whole"), tried_on("one part", 3):
        raise ValueError("odd")
    assert told_of(raised.value, object()).case == "with one part, 3"
