import importlib.metadata
import sys
from pathlib import Path

import pytest
from fake_distributions import GOOD, Install

from evoweights.config.loading import config_from_text
from evoweights.errors import PluginError, UsageError
from evoweights.plugins.listing import try_plugins
from evoweights.plugins.loading import load_plugins
from evoweights.plugins.sources import installed_plugins

HERE = Path()

# Plugins that do not load: their code, and what the message says besides the plugin's name.
BROKEN = {
    "import_error": ("import nowhere_to_be_found", "cannot be imported: ModuleNotFoundError No module named"),
    "syntax_error": ("def f(:", "cannot be imported: SyntaxError"),
    "exits": ("import sys; sys.exit(3)", "cannot be imported: SystemExit 3"),
    "raises": (
        "1 / 0",
        "ZeroDivisionError division by zero. Repair or remove it; EVOWEIGHTS_STRICT_PLUGINS=1 shows the traceback",
    ),
    "no_hook": ("x = 1", "it has no hook"),
    "misspelt": (
        "from evoweights import hookimpl\n@hookimpl\ndef run_strated(info): pass",
        "hook run_strated: there is no such hook. Did you mean 'run_started'?",
    ),
    "signature": (
        "from evoweights import hookimpl\n@hookimpl\ndef run_started(inf): pass",
        "hook run_started: unknown argument 'inf'. Did you mean 'info'?",
    ),
    "keywords": (
        "from evoweights import hookimpl\n@hookimpl\ndef run_started(**info): pass",
        "hook run_started: unknown argument 'info'",
    ),
    "default": (
        "from evoweights import hookimpl\n@hookimpl\ndef run_started(info=None): pass",
        "argument 'info' has a default, so it would never be passed",
    ),
    "wrapper": (
        "from evoweights import hookimpl\n@hookimpl(wrapper=True)\ndef run_started(info): yield",
        "wrappers are not supported",
    ),
    "register_raises": (
        GOOD + "    raise KeyError('gone')\n",
        "failed to register its components: KeyError 'gone'",
    ),
    "bad_component": (
        "from evoweights import hookimpl\n@hookimpl\ndef register(catalog): catalog.add('operator', int)",
        "must be a frozen dataclass",
    ),
    "instance": (
        GOOD.replace("Thing)", "Thing())"),
        "catalog.add('operator', ...): found Thing(size=1), expected the class itself, without parentheses.",
    ),
    "no_class": (
        GOOD.replace("Thing)", "'Thing')"),
        "catalog.add('operator', ...): found 'Thing', expected the class itself",
    ),
    "no_name": (
        GOOD.replace('name: ClassVar[str] = "thing"', 'name: ClassVar[str] = "Thing!"'),
        "needs a class attribute `name` like 'my_operator', found 'Thing!'",
    ),
    "no_source": (
        GOOD.replace('"nobody 2020"', '""'),
        "needs a class attribute `source`: the paper, or who made it",
    ),
    "no_docstring": (GOOD.replace('"""Does a thing."""', ""), "needs a docstring whose first line says what it does"),
    "odd_kind": (GOOD.replace('"operator"', '"operater"'), "no kind 'operater' is open; catalog.kind() opens one."),
    "same_name_twice": (
        GOOD + "    catalog.add('operator', Thing)\n",
        "The name 'operator thing' is taken twice",
    ),
    "newer_minor": (
        "EVOWEIGHTS_API = '1.7'\n" + GOOD,
        "made for version 1.7 of the plugin interface; this evoweights has",
    ),
    "other_major": (
        "EVOWEIGHTS_API = '2.0'\n" + GOOD,
        "made for version 2.0 of the plugin interface; this evoweights has",
    ),
    "odd_version": ("EVOWEIGHTS_API = 'one'\n" + GOOD, "EVOWEIGHTS_API is 'one'; expected text such as '1.0'"),
}


def components(requests: list[str], folder: Path = HERE) -> list[tuple[str, str]]:
    return [(entry.name, entry.provider) for entry in load_plugins(requests, folder=folder).catalog.entries()]


def test_installed_is_not_active(install: Install) -> None:
    install("foo", GOOD)
    install("bad", "raise RuntimeError('imported')")
    assert components([]) == []
    assert [plugin.name for plugin in installed_plugins()] == ["bad", "foo"]
    assert "fake_foo" not in sys.modules and "fake_bad" not in sys.modules
    assert components(["foo"]) == [("thing", "foo (evoweights-foo 1.0)")]
    assert "fake_foo" in sys.modules and "fake_bad" not in sys.modules


def test_plugin_that_says_its_interface_version_loads(install: Install) -> None:
    install("foo", "EVOWEIGHTS_API = '1.0'\n" + GOOD)
    assert components(["foo"])


@pytest.mark.parametrize("name", BROKEN)
def test_plugin_that_is_named_and_broken_ends_the_load(name: str, install: Install) -> None:
    code, message = BROKEN[name]
    install(name, code)
    with pytest.raises(PluginError) as caught:
        load_plugins([name], folder=HERE)
    assert message in str(caught.value) and name in str(caught.value)
    assert caught.value.exit_code == 5
    assert components([]) == []


@pytest.mark.parametrize("name", BROKEN)
def test_plugin_that_is_merely_installed_and_broken_is_listed(name: str, install: Install) -> None:
    code, message = BROKEN[name]
    install(name, code)
    install("zzz", GOOD)
    broken, good = try_plugins()
    assert (broken.plugin.name, broken.status, broken.components) == (name, "failed", ())
    assert message in broken.reason
    assert (good.plugin.name, good.status, good.reason) == ("zzz", "ok", "")
    assert good.components == ("operator thing",)
    assert components(["zzz"]) == [("thing", "zzz (evoweights-zzz 1.0)")]


def test_strict_mode_shows_what_the_plugin_raised(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOWEIGHTS_STRICT_PLUGINS", "1")
    install("foo", "1 / 0")
    with pytest.raises(ZeroDivisionError):
        load_plugins(["foo"], folder=HERE)


def test_keyboard_interrupt_while_importing_is_not_taken_for_a_plugin_error(install: Install) -> None:
    install("foo", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_plugins(["foo"], folder=HERE)


def test_clash_of_two_plugins_names_both(install: Install) -> None:
    install("foo", GOOD)
    install("bar", GOOD, version="2.1")
    with pytest.raises(PluginError) as caught:
        load_plugins(["foo", "bar"], folder=HERE)
    assert "by foo (evoweights-foo 1.0) and by bar (evoweights-bar 2.1)" in str(caught.value)


def test_unknown_plugins_are_all_named_with_what_is_installed(install: Install) -> None:
    install("foo", GOOD)
    with pytest.raises(UsageError) as caught:
        load_plugins(["fooo", "foo", "quux"], folder=HERE)
    first, second = str(caught.value).splitlines()
    assert first.startswith("plugins.0: no installed plugin is called 'fooo'. Did you mean 'foo'? Known: foo.")
    assert second.startswith("plugins.2: no installed plugin is called 'quux'. Known: foo.")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("request_text", ["foo>=0.9", "foo ==1.2.0", "foo>=1,<2", "foo~=1.1"])
def test_version_that_is_installed_is_taken(request_text: str, install: Install) -> None:
    install("foo", GOOD, version="1.2.0")
    assert components([request_text])


@pytest.mark.parametrize("pin", [">=1.3", "<1", "==1.2.1"])
def test_version_that_is_not_installed_is_refused(pin: str, install: Install) -> None:
    install("foo", GOOD, version="1.2.0")
    with pytest.raises(UsageError, match=r"foo 1\.2\.0 is installed, but the configuration asks for"):
        load_plugins([f"foo{pin}"], folder=HERE)
    with pytest.raises(UsageError, match="is no version such as"):
        load_plugins(["foo>=new"], folder=HERE)


def test_plugin_of_two_distributions_is_refused(install: Install) -> None:
    install("foo", GOOD)
    install("foo", GOOD, distribution="other-foo")
    with pytest.raises(UsageError, match=r"'foo' is provided by evoweights-foo 1\.0 and by other-foo 1\.0"):
        load_plugins(["foo"], folder=HERE)


def test_plugin_named_twice_is_refused(install: Install) -> None:
    install("foo", GOOD)
    with pytest.raises(PluginError, match="plugin foo: it is loaded twice"):
        load_plugins(["foo", "foo>=1"], folder=HERE)


def test_no_plugins_switches_off_all_but_the_built_in_ones(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("foo", GOOD)
    monkeypatch.setenv("EVOWEIGHTS_NO_PLUGINS", "1")
    assert components([]) == []
    with pytest.raises(UsageError, match=r"EVOWEIGHTS_NO_PLUGINS=1 switches off .*Unset it, or remove `plugins`"):
        load_plugins(["foo"], folder=HERE)


def test_loads_share_nothing(install: Install) -> None:
    install("foo", GOOD)
    first, second = load_plugins(["foo"], folder=HERE), load_plugins([], folder=HERE)
    assert first.manager is not second.manager
    assert not list(second.catalog.entries()) and list(first.catalog.entries())


def test_discovery_reads_metadata_only(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("foo", GOOD)
    monkeypatch.setattr(importlib.metadata.EntryPoint, "load", lambda self: pytest.fail("it was imported"))
    assert [plugin.origin for plugin in installed_plugins()] == ["evoweights-foo"]


def test_file_is_looked_up_beside_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(GOOD)
    monkeypatch.chdir("/")
    plugins = load_plugins(["./mine.py"], folder=tmp_path)
    (plugin,) = plugins.loaded
    assert (plugin.name, plugin.origin, plugin.official) == ("mine", str(tmp_path / "mine.py"), False)
    (entry,) = plugins.catalog.entries()
    assert entry.component(size=3).size == 3


def test_version_of_a_file_is_its_content(tmp_path: Path) -> None:
    versions = set()
    for code in (GOOD, GOOD + "\n", GOOD):
        (tmp_path / "mine.py").write_text(code)
        versions.add(load_plugins(["mine.py"], folder=tmp_path).loaded[0].version)
    assert len(versions) == 2


def test_file_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    before = set(sys.modules)
    (tmp_path / "mine.py").write_text(GOOD + "\n1 / 0\n")
    with pytest.raises(PluginError, match=r"plugin mine .*mine\.py .*ZeroDivisionError"):
        load_plugins(["mine.py"], folder=tmp_path)
    assert set(sys.modules) == before


def test_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "my_operator.py").write_text(GOOD)
    with pytest.raises(UsageError, match=r"plugins\.0: no file .*my_operater\.py\. Did you mean 'my_operator\.py'\?"):
        load_plugins(["./my_operater.py"], folder=tmp_path)


def test_a_file_that_lies_in_the_current_folder_instead_is_named(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "mine.py").write_text("")
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(
        UsageError, match=r"no file .*mine\.py\. A path is taken from the configuration's folder; .*here/mine\.py"
    ):
        load_plugins(["./mine.py"], folder=tmp_path)


def test_dataclass_with_quoted_types_works_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("from __future__ import annotations\n" + GOOD)
    (entry,) = load_plugins(["mine.py"], folder=tmp_path).catalog.entries()
    assert entry.component().size == 1


def test_a_plugin_that_adds_to_a_kind_of_a_built_in_one_is_listed_with_what_is_its_own(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("opener", GOOD + "    catalog.kind('shade', 'how dark')\n")
    install("adder", GOOD.replace('"operator"', '"shade"'))
    monkeypatch.setattr("evoweights.plugins.listing.built_in_plugins", lambda: (installed_plugins()[1],))
    adder = next(each for each in try_plugins() if each.plugin.name == "adder")
    assert (adder.status, adder.components) == ("ok", ("shade thing",))


def test_a_component_of_a_plugin_that_the_configuration_does_not_name_is_explained(
    install: Install, tmp_path: Path
) -> None:
    install("foo", GOOD)
    text = "generations: 1\ntask: {name: digits}\npopulation: {name: individuals, size: 2}\nvary: [{name: foo}]\n"
    with pytest.raises(UsageError, match=r"The installed plugin foo has to be named: plugins: \[foo\]\."):
        config_from_text(text, where="test", folder=tmp_path)
