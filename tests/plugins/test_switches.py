import json
import sys
from pathlib import Path

import pytest
from fake_distributions import GOOD, Install

from evoweights.errors import PluginError, UsageError
from evoweights.plugins import switches
from evoweights.plugins.listing import try_plugins
from evoweights.plugins.loading import load_plugins
from evoweights.plugins.sources import names_in_vain


def switched_off_by_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    switches.disable("bar")


def switched_off_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOWEIGHTS_DISABLED_PLUGINS", "baz, bar")


def not_among_those_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOWEIGHTS_LOAD_PLUGINS", "foo,baz")


WAYS = {
    switched_off_by_the_file: "plugins.json names it. `evoweights plugins enable bar` takes it out",
    switched_off_by_name: "EVOWEIGHTS_DISABLED_PLUGINS names it. Take it out there",
    not_among_those_wanted: "EVOWEIGHTS_LOAD_PLUGINS lists foo, baz. Add it there, or unset the variable",
}


@pytest.mark.parametrize("way", WAYS)
def test_disabled_plugin_is_listed_but_not_imported_and_a_run_that_names_it_is_refused(
    way, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("foo", GOOD)
    install("bar", "raise RuntimeError('imported')")
    way(monkeypatch)
    bar, foo = try_plugins()
    assert (bar.status, bar.components, foo.status) == ("disabled", (), "ok")
    assert WAYS[way] in bar.reason
    with pytest.raises(UsageError, match="bar is installed, but disabled: ") as caught:
        load_plugins(["foo", "bar"], folder=Path())
    assert WAYS[way] in str(caught.value) and caught.value.exit_code == 2
    assert "fake_bar" not in sys.modules
    assert load_plugins(["foo"], folder=Path()).loaded


def test_names_that_switch_nothing_off_are_told(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evoweights.plugins.sources.BUILT_IN", ("evoweights_lm",))
    monkeypatch.setenv("EVOWEIGHTS_LOAD_PLUGINS", "mountains")
    assert names_in_vain() == [
        "EVOWEIGHTS_LOAD_PLUGINS: no installed plugin is called 'mountains'. No plugin is installed here besides the "
        "built-in ones. Take it out there."
    ]
    install("moutains", GOOD)
    monkeypatch.setenv("EVOWEIGHTS_LOAD_PLUGINS", "moutains")
    assert names_in_vain() == []
    monkeypatch.setenv("EVOWEIGHTS_DISABLED_PLUGINS", " mountains,, lm, moutains")
    assert names_in_vain() == [
        "EVOWEIGHTS_DISABLED_PLUGINS: no installed plugin is called 'mountains'. Did you mean 'moutains'? Known: moutains. "
        "Take it out there.",
        "EVOWEIGHTS_DISABLED_PLUGINS: lm is built in and always loaded. Take it out there.",
    ]


def test_plugin_that_is_enabled_again_loads(install: Install) -> None:
    install("foo", GOOD)
    assert switches.disable("foo") and not switches.disable("foo")
    assert switches.enable("foo") and not switches.enable("foo")
    assert load_plugins(["foo"], folder=Path()).loaded


def test_the_list_of_wanted_plugins_may_be_empty(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("foo", GOOD)
    monkeypatch.setenv("EVOWEIGHTS_LOAD_PLUGINS", "")
    with pytest.raises(UsageError, match="EVOWEIGHTS_LOAD_PLUGINS lists none"):
        load_plugins(["foo"], folder=Path())


def test_a_file_is_loaded_whatever_is_disabled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(GOOD)
    monkeypatch.setenv("EVOWEIGHTS_DISABLED_PLUGINS", "mine")
    monkeypatch.setenv("EVOWEIGHTS_LOAD_PLUGINS", "")
    assert load_plugins(["mine.py"], folder=tmp_path).loaded


def test_the_file_is_in_the_users_configuration_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "a b"))
    switches.disable("foo")
    switches.disable("bar")
    assert json.loads((tmp_path / "a b" / "evoweights" / "plugins.json").read_text()) == {"disabled": ["bar", "foo"]}
    assert [each.name for each in (tmp_path / "a b" / "evoweights").iterdir()] == ["plugins.json"]
    monkeypatch.setenv("XDG_CONFIG_HOME", "")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert switches.settings_file() == tmp_path / ".config" / "evoweights" / "plugins.json"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"disabled": "foo"}', '{"disabled": [1]}', "\xff"])
def test_a_damaged_file_is_named_and_not_written_over(content: str, install: Install) -> None:
    install("foo", GOOD)
    file = switches.settings_file()
    file.parent.mkdir(parents=True)
    file.write_bytes(content.encode("latin-1"))
    for act in (try_plugins, lambda: load_plugins(["foo"], folder=Path()), lambda: switches.disable("foo")):
        with pytest.raises(
            UsageError, match=r"plugins\.json: (expected .*a plugin.*, found|cannot be read: ).*Repair or remove it"
        ):
            act()
    assert file.read_bytes() == content.encode("latin-1")
    load_plugins([], folder=Path())  # what names no plugin needs no file


def test_a_file_that_cannot_be_written_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "configuration").write_text("no folder")
    with pytest.raises(UsageError, match=r"EVOWEIGHTS_DISABLED_PLUGINS=NAME,\.\.\. does the same"):
        switches._write(["foo"])


def test_two_plugins_that_offer_one_name_are_told_of_each_other(install: Install) -> None:
    install("foo", GOOD)
    install("bar", GOOD, version="2.1")
    bar, foo = try_plugins()
    assert bar.clashes == ("operator thing is also offered by foo (evoweights-foo 1.0)",)
    assert foo.clashes == ("operator thing is also offered by bar (evoweights-bar 2.1)",)


def test_one_name_for_two_plugins_is_a_fault_of_both_that_names_both(install: Install) -> None:
    install("foo", GOOD)
    install("foo", GOOD, distribution="other-foo", version="3")
    found = try_plugins()
    assert [each.status for each in found] == ["failed", "failed"]
    assert {each.reason for each in found} == {
        "'foo' is provided by evoweights-foo 1.0 and by other-foo 3. Uninstall one of them."
    }


def test_a_plugin_that_is_called_as_a_built_in_one_is_told_so(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("lm", GOOD, distribution="other-lm")
    monkeypatch.setattr("evoweights.plugins.sources.BUILT_IN", ("evoweights_lm",))
    monkeypatch.setattr("evoweights.plugins.listing.built_in_plugins", lambda: [])
    (found,) = try_plugins()
    assert found.status == "failed" and found.reason == (
        "other-lm 1.0 calls it 'lm', as a built-in plugin is called. Rename its entry point, or uninstall it."
    )


def test_a_component_named_as_anothers_is_refused_with_both_named(install: Install) -> None:
    install("foo", GOOD)
    install("bar", GOOD)
    with pytest.raises(PluginError, match=r"taken twice: by foo \(evoweights-foo 1\.0\) and by bar \(evoweights-bar 1"):
        load_plugins(["foo", "bar"], folder=Path())
