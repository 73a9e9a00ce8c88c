"""A kernel that cannot be launched is one broken rule of its operator, whatever keeps it from that, and nothing excuses it."""

import pytest
from zoo_general import Kernel

from evoweights.errors import PluginError, UsageError
from evoweights.testing import check_operator, parametrize_operators
from evoweights.testing.plugin_kit import check_components, plugin_components


class TablesRaise(Kernel):
    """What it measures of the tensors fails."""

    def tile_scalars(self, layout, target):
        raise ValueError("no table")


class SettingsRefused(Kernel):
    """Its settings do not go together."""

    def scalars(self):
        raise UsageError("operator broken: pull and push cannot both be 0.")


class Particular(Kernel):
    """Is for large tensors only."""

    def tile_scalars(self, layout, target):
        raise UsageError("operator broken: needs a matrix of 10^9 genes.")


UNLAUNCHED = {
    TablesRaise(): "operator broken: tile_scalars raised ValueError: no table (",
    SettingsRefused(): "operator broken: pull and push cannot both be 0.",
}


@pytest.mark.parametrize("operator", UNLAUNCHED, ids=lambda each: type(each).__name__)
def test_whatever_its_methods_raise_there_is_a_report_with_one_broken_rule(operator):
    report = check_operator(operator, profile="quick", on_fail=None)
    (broken,) = report.failures
    assert broken.id == "EW-G22" and UNLAUNCHED[operator] in broken.reason


def test_tensors_that_it_refuses_are_no_fault_of_its_kernel():
    report = check_operator(Particular(), profile="quick")
    assert "it refuses what the rule is tried on: operator broken: needs a matrix of 10^9 genes." in str(
        {each.reason for each in report.results}
    )
    assert next(each.status for each in report.results if each.id == "EW-G22") == "passed"


PLUGIN = '''
from dataclasses import dataclass
from evoweights import Gene, GeneOperator, Traits, gene_kernel, hookimpl

@gene_kernel
def kept(x: Gene, leader: Gene):
    return x

@dataclass(frozen=True)
class Keep(GeneOperator):
    """Changes nothing."""
    name, source, kernel = "keep", "a test", kept
    traits = Traits(stochastic=False)

@dataclass(frozen=True)
class Fails(Keep):
    """Its tables cannot be made."""
    name = "fails"

    def tile_scalars(self, layout, target):
        raise ValueError("no table")

@hookimpl
def register(catalog):
    catalog.add("operator", Fails)
    catalog.add("operator", Keep)
'''


def test_of_a_plugin_the_other_components_are_checked_all_the_same(tmp_path):
    (tmp_path / "both.py").write_text(PLUGIN)
    found = plugin_components(["./both.py"], folder=tmp_path, profile="quick")
    reports = {each.entry.name: report for each, report in check_components(found)}
    assert [each.id for each in reports["fails"].failures] == ["EW-G22"]
    assert reports["keep"].count("passed") > 10
    with pytest.raises(
        UsageError, match=r"^expected_failures: EW-G22 of fails is broken in a way that keeps every other"
    ):
        next(check_components(found, expected_failures={"EW-G22": "some day"}))


def test_a_component_that_cannot_be_put_to_the_test_is_named(tmp_path):
    broken = 'source = "a test"\n    scope: str = "matrix"\n\n    def __post_init__(self):\n        assert self.scope != "all"\n'
    (tmp_path / "one.py").write_text(PLUGIN.replace('name = "fails"', f'name = "fails"\n    {broken}'))
    with pytest.raises(PluginError, match=r"^operator fails: making its checks raised AssertionError: "):
        plugin_components(["./one.py"], folder=tmp_path, profile="quick")


def test_no_reason_excuses_it():
    said = (
        r"EW-G22 of broken is broken .* and that no reason excuses\. Check it without this one to see what is wrong\."
    )
    with pytest.raises(UsageError, match=said):
        check_operator(TablesRaise(), profile="quick", expected_failures={"G22": "some day"})
    with pytest.raises(UsageError, match=said):
        parametrize_operators([TablesRaise()], profile="quick", expected_failures={"broken": {"EW-G22": "some day"}})
