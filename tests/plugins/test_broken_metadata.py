"""Distributions whose metadata or dependencies are wrong: each is one clear message, and nothing else suffers from it."""

import sys
from pathlib import Path

import pytest
from fake_distributions import GOOD, Install

from evoweights.errors import PluginError
from evoweights.plugins.listing import PluginStatus, try_plugins
from evoweights.plugins.loading import load_plugins
from evoweights.version import __version__


def refusal(name: str) -> str:
    """What a run that names the plugin is told, which is also what the list says."""
    with pytest.raises(PluginError) as caught:
        load_plugins([name], folder=Path())
    (listed,) = [each for each in try_plugins() if each.plugin.name == name]
    assert (listed.status, listed.reason) == ("failed", str(caught.value))
    return str(caught.value)


@pytest.mark.parametrize("place", ["nowhere", "nowhere:plugin", "fake_foo.nowhere"])
def test_an_entry_point_that_names_no_module_is_told_from_a_missing_dependency(place: str, install: Install) -> None:
    install("foo", GOOD, place=place)
    said = refusal("foo")
    assert said.startswith(f"plugin foo (evoweights-foo 1.0): its entry point names {place}, but there is no module ")
    assert "Install evoweights-foo again" in said


def test_a_missing_dependency_is_named_with_what_to_do(install: Install) -> None:
    install("foo", "import scipy_of_tomorrow.linalg\n" + GOOD)
    said = refusal("foo")
    assert "cannot be imported: ModuleNotFoundError No module named 'scipy_of_tomorrow'" in said
    assert "Install what provides the module scipy_of_tomorrow, or remove the plugin" in said


def test_an_entry_point_that_names_no_attribute_is_said_to(install: Install) -> None:
    install("foo", GOOD, place="fake_foo:plugin")
    assert "AttributeError module 'fake_foo' has no attribute 'plugin'" in refusal("foo")


@pytest.mark.parametrize("needed", ["evoweights>=99", "EvoWeights >=0.1,<0.0.9", "evoweights==7; python_version > '3'"])
def test_a_plugin_for_another_release_is_refused_before_it_is_imported(needed: str, install: Install) -> None:
    install("foo", "raise RuntimeError('imported')", requires=needed)
    said = refusal("foo")
    assert said.startswith("plugin foo (evoweights-foo 1.0) needs evoweights") and "Install matching versions" in said
    assert f"this is evoweights {__version__}" in said and "fake_foo" not in sys.modules


@pytest.mark.parametrize(
    "needed",
    [f"evoweights>={__version__}", "evoweights", "evoweights[testing]>=99; extra == 'test'", "torch>=99", "?!"],
)
def test_other_requirements_are_no_business_of_the_loader(needed: str, install: Install) -> None:
    install("foo", GOOD, requires=needed)
    assert load_plugins(["foo"], folder=Path()).loaded


@pytest.mark.parametrize("metadata", [None, "", "Metadata-Version: 2.1\n"])
def test_what_is_left_of_a_distribution_is_listed_and_disturbs_no_other(
    metadata: str | None, tmp_path: Path, install: Install
) -> None:
    install("foo", GOOD)
    info = tmp_path / "site" / "evoweights_ghost-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[evoweights]\nghost = evoweights_ghost\n")
    if metadata is not None:
        (info / "METADATA").write_text(metadata)
    foo, ghost = try_plugins()
    assert (foo.status, ghost.status) == ("ok", "failed")
    assert "its entry point names evoweights_ghost, but there is no module evoweights_ghost" in ghost.reason


@pytest.mark.parametrize(
    ("version", "advice"),
    [
        ("1.1", "A newer evoweights or an older evoweights-foo would do"),
        ("2.0", "A newer evoweights or an older evoweights-foo would do"),
        ("0.9", "A newer evoweights-foo or an older evoweights would do"),
    ],
)
def test_another_interface_is_refused_with_what_to_install(version: str, advice: str, install: Install) -> None:
    install("foo", f"EVOWEIGHTS_API = '{version}'\n" + GOOD)
    assert f"is made for version {version} of the plugin interface" in refusal("foo")
    assert advice in refusal("foo")


def named(*requests: str, folder: Path = Path()) -> list[PluginStatus]:
    return try_plugins(requests, folder=folder)


def test_what_a_configuration_names_is_active_and_what_it_does_not_is_not(install: Install, tmp_path: Path) -> None:
    install("foo", GOOD, version="1.2")
    install("bar", GOOD.replace("thing", "other"))
    (tmp_path / "mine.py").write_text(GOOD.replace("thing", "mine"))
    found = named("foo>=1", "./mine.py", folder=tmp_path)
    assert [(each.plugin.name, each.status, each.request) for each in found] == [
        ("foo", "active", "foo>=1"),
        ("mine", "active", "./mine.py"),
        ("bar", "ok", ""),
    ]
    assert [each.components for each in found] == [("operator thing",), ("operator mine",), ("operator other",)]


def test_what_a_configuration_names_in_vain_is_listed_with_the_reason(install: Install, tmp_path: Path) -> None:
    install("foo", GOOD)
    install("bad", "1 / 0")
    reasons = {each.request: each.reason for each in named("foo>=2", "fooo", "./gone.py", "bad", folder=tmp_path)}
    assert "foo 1.0 is installed, but the configuration asks for >=2" in reasons["foo>=2"]
    assert "no installed plugin is called 'fooo'. Did you mean 'foo'?" in reasons["fooo"]
    assert "no file" in reasons["./gone.py"] and "ZeroDivisionError" in reasons["bad"]
    assert [each.plugin.name for each in named("bad")] == ["bad", "foo"]  # none is listed twice


def test_named_plugins_are_loaded_in_order_as_in_a_run(install: Install) -> None:
    install("adder", GOOD.replace('"operator"', '"shade"').replace("thing", "light"))
    install("opener", GOOD + "    catalog.kind('shade', 'how dark')\n")
    assert [each.status for each in named("opener", "adder")] == ["active", "active"]
    opener, adder = named("adder", "opener")[::-1]
    assert (opener.status, adder.status) == ("active", "failed") and "no kind 'shade' is open" in adder.reason


def test_with_all_switched_off_the_installed_ones_are_listed_as_disabled_and_not_imported(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("foo", "raise RuntimeError('imported')")
    monkeypatch.setenv("EVOWEIGHTS_NO_PLUGINS", "true")
    (found,) = try_plugins()
    assert found.status == "disabled" and "EVOWEIGHTS_NO_PLUGINS=1 switches off" in found.reason
    (found,) = [each for each in named("foo") if each.request]
    assert found.status == "failed" and "EVOWEIGHTS_NO_PLUGINS=1 switches off" in found.reason
    assert "fake_foo" not in sys.modules
    monkeypatch.setenv("EVOWEIGHTS_NO_PLUGINS", "0")
    assert "RuntimeError imported" in try_plugins()[0].reason
