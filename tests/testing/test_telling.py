"""A broken rule is told in a few words: what was found, where in the author's code, for which case; causes come first."""

import sys
from dataclasses import dataclass
from typing import ClassVar

import pytest
from zoo_choices import Selects
from zoo_general import DrawsGlobally, Kernel

from evoweights import Gene, Scalar, gene_kernel, setting
from evoweights.errors import PluginError
from evoweights.testing import check_operator, check_selection, operator_checks, parametrize_operators


class Raises(Selects):
    """Fails in a function of its own package."""

    def choose(self, fitness, noise):
        return chosen(fitness)


def chosen(fitness):
    raise ValueError("no choice")


@pytest.mark.parametrize("profile", ["quick", "default"])
def test_an_error_is_told_with_the_authors_own_line(profile):
    report = check_selection(Raises(), profile=profile, on_fail=None)
    (reason,) = {each.reason for each in report.failures if each.id == "EW-L02"}
    line = chosen.__code__.co_firstlineno + 1
    assert f"Found: ValueError: no choice (test_telling.py, line {line})" in reason


def test_a_broken_rule_names_the_first_gene_that_differs_and_the_components_own_class():
    (check,) = [each for each in operator_checks(DrawsGlobally(), profile="quick") if each.rule.id == "G04"]
    result, _ = check.result()
    assert "Found: the second time made something else: individual 1, weights: gene 0 of matrix.0 is " in result.reason
    assert ", not " in result.reason and "(zoo_general.py, line " in result.reason


def test_an_error_is_told_whatever_the_limit_of_tracebacks(monkeypatch):
    monkeypatch.setattr(sys, "tracebacklimit", 1, raising=False)
    report = check_selection(Raises(), profile="quick", on_fail=None)
    (reason,) = {each.reason for each in report.failures if each.id == "EW-L02"}
    assert f"(test_telling.py, line {chosen.__code__.co_firstlineno + 1})" in reason


@pytest.mark.parametrize("profile", ["quick", "default"])
def test_the_traceback_of_a_check_has_no_frames_of_hypothesis(profile):
    (check,) = [each for each in operator_checks(DrawsGlobally(), profile=profile) if each.rule.id == "G04"]
    with pytest.raises(AssertionError) as raised:
        check()
    assert not [each for each in raised.traceback if "hypothesis" in str(each.path)]


def test_what_may_have_brought_the_rest_is_told_first():
    report = check_operator(DrawsGlobally(), profile="quick", on_fail=None)
    ids = [each.id for each in report.failures]
    assert ids[:2] == ["EW-G06", "EW-G04"]
    shown = str(report)
    assert shown.index("EW-G06") < shown.index("EW-G04") < shown.index("EW-G01")
    assert [each.id for each in report.results].index("EW-G04") < [each.id for each in report.results].index("EW-G06")


@gene_kernel
def pulled_so(x: Gene, leader: Gene, strength: Scalar):
    return x + strength * (leader - x)


@dataclass(frozen=True)
class Misspelt(Kernel):
    """Its kernel takes what no setting is called."""

    name: ClassVar[str] = "misspelt"
    kernel = pulled_so
    strenght: float = setting(0.5, "share of the way")


def test_an_argument_without_a_setting_is_one_message_with_the_nearest_setting():
    report = check_operator(Misspelt(), profile="quick", on_fail=None)
    (broken,) = report.failures
    assert broken.id == "EW-G22"
    assert "operator misspelt: kernel pulled_so takes strength, which is no setting of it." in broken.reason
    assert "Did you mean 'strenght'? Known: pull, strenght." in broken.reason
    others = {each.reason for each in report.results if each is not broken}
    assert others == {"cannot be tried before EW-G22 is kept"}


@gene_kernel
def branching(x: Gene, leader: Gene, pull: Scalar):
    return x + (leader > x) * pull


class Mistaken(Kernel):
    """Its body calculates with a condition."""

    name: ClassVar[str] = "mistaken"
    kernel = branching


def test_a_mistake_in_a_kernels_body_is_one_message():
    report = check_operator(Mistaken(), profile="quick", on_fail=None)
    (broken,) = report.failures
    assert broken.id == "EW-G22" and "a condition stands where a number is needed" in broken.reason


@parametrize_operators([Misspelt()], profile="quick")
def test_under_pytest_it_is_one_failure(check):
    with pytest.raises(PluginError, match="Did you mean 'strenght'"):
        check()
    assert check.id == "EW-G22"
