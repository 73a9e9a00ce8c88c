"""An operator that is not for any tensors refuses others, and is checked on those that it is for."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from zoo_choices import Selects
from zoo_general import Plain
from zoo_improvers import Descends

from evoweights.errors import UsageError
from evoweights.genome import Layout
from evoweights.testing import check_improver, check_operator, check_selection, parametrize_operators
from evoweights.testing.strategies import segments_of
from evoweights.traits import Traits

SQUARES = [
    Layout(segments_of([("matrix", (8, 8)), ("matrix", (40, 40))]), each) for each in (torch.float32, torch.bfloat16)
]


@dataclass(frozen=True)
class Transposes(Plain):
    """Exchanges rows and columns of the source, for which matrices must be square."""

    name: ClassVar[str] = "transposes"
    traits: ClassVar[Traits] = Traits(stochastic=False, tensor_wise=True, memory_factor=1.0)

    def made(self, tensor):
        return tensor.T.clone()

    def rewrite(self, target, source, noise):
        for each in source.values():
            if each.ndim != 2 or each.shape[0] != each.shape[1]:
                raise UsageError(f"operator transposes: needs square matrices, found {tuple(each.shape)}.")
        return {name: self.made(each) for name, each in source.items()}


class Overflows(Transposes):
    """And makes infinities of them."""

    def made(self, tensor):
        return tensor.T.clone() * torch.inf


def statuses(report):
    return {each.id.removeprefix("EW-"): each.status for each in report.results}


def test_what_it_refuses_it_is_not_tried_on_and_the_report_says_so():
    report = check_operator(Transposes(), profile="quick")
    told = {each.reason for each in report.results}
    assert "it refuses what the rule is tried on: operator transposes: needs square matrices, found (63, 1)." in told
    assert report.is_conforming and statuses(report)["G01"] == "skipped"


def test_it_is_checked_on_the_layouts_that_it_is_given():
    report = check_operator(Transposes(), profile="quick", layouts=SQUARES)
    found = statuses(report)
    assert {found[each] for each in ("G01", "G02", "G04", "G07", "G14", "G16", "G19", "G20", "G21", "G25")} == {
        "passed"
    }
    assert found["G12"] == "skipped"


@pytest.mark.parametrize("profile", ["quick", "default"])
def test_a_fault_is_noticed_on_them(profile):
    report = check_operator(Overflows(), profile=profile, layouts=SQUARES, on_fail=None)
    assert statuses(report)["G14"] == "failed"


@parametrize_operators([Transposes()], profile="quick", layouts=SQUARES)
def test_contract(check):
    check()


def test_a_fault_in_a_folder_that_is_called_like_hypothesis_is_found_there():
    namespace = {}
    code = compile(
        "def choose(self, fitness, noise):\n    raise ValueError('odd')\n", "/home/hypothesis/mine.py", "exec"
    )
    exec(code, namespace)
    report = check_selection(type("Mine", (Selects,), namespace)(), profile="quick", on_fail=None)
    assert any("Found: ValueError: odd (mine.py, line 2)" in each.reason for each in report.failures)


class Pairs(Selects):
    """Needs an even number of individuals, and tells the first half from the second."""

    def choose(self, fitness, noise):
        if len(fitness) % 2:
            raise UsageError(f"selection pairs: needs an even population.size, found {len(fitness)}.")
        return super().choose(fitness, noise)


def test_some_cases_may_be_refused():
    report = check_selection(Pairs(), profile="quick", on_fail=None)
    assert report.is_conforming, str(report)
    assert statuses(report)["L02"] == "passed"


class ScoresTogether(Descends):
    """Scores two members of a population of its own in one pass."""

    def step(self, mounted, feed, moment):
        return float(feed.draw(mounted).scores(2).mean())


def test_an_improver_that_scores_several_at_once_is_not_tried_on_a_module_of_one():
    report = check_improver(ScoresTogether(), profile="quick")
    (told,) = {each.reason for each in report.results if each.id == "EW-G04"}
    assert told.startswith(
        "it refuses what the rule is tried on: The module of the kit holds one individual: it cannot score 2 "
    )
    assert statuses(report)["G22"] == "passed"
