import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from command_line import CommandLine

from evoweights.cli.plugins import Kind
from evoweights.plugins import switches
from evoweights.version import __version__
from put_on_path import put_on_path

KINDS = [each.value for each in Kind]


@pytest.fixture(autouse=True)
def modules_of_plugins_are_forgotten() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for each in set(sys.modules) - before:
        if each.startswith("evoweights_my_"):
            del sys.modules[each]


def made(evoweights: CommandLine, kind: str, *options: str) -> Path:
    outcome = evoweights("plugins", "new", f"my-{kind}", "--kind", kind, *options)
    assert outcome.code == 0 and outcome.err == ""
    return Path.cwd() / f"evoweights-my-{kind}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_of_each_kind_is_listed_and_its_configuration_runs(
    kind: str, evoweights: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(evoweights, kind)
    put_on_path(folder, tmp_path / "site", monkeypatch)
    (listed,) = [each for each in json.loads(evoweights("plugins", "--json").out) if each["name"] == f"my_{kind}"]
    assert (listed["status"], listed["components"], listed["version"]) == ("ok", [f"{kind} my_{kind}"], "0.1.0")
    outcome = evoweights("run", folder / f"my_{kind}.yaml", "generations=12", "device=cpu")
    assert outcome.code == 0, outcome.err
    run = tmp_path / "runs" / f"my_{kind}"
    assert (run / "DONE").is_file() and evoweights("verify", run).code == 0
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert min(each["best_fitness"] for each in lines) < min(lines[0]["start_fitness"])


@pytest.mark.parametrize("kind", KINDS)
def test_its_files_are_complete_and_well_formed(kind: str, evoweights: CommandLine) -> None:
    folder = made(evoweights, kind)
    files = {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}
    module = f"my_{kind}"
    assert {
        *("pyproject.toml", "README.md", "LICENSE", ".gitignore", f"{module}.yaml", "tests/test_run.py"),
        *(f"evoweights_{module}/__init__.py", f"evoweights_{module}/py.typed", f"tests/test_{module}.py"),
    } == files - {"evoweights_my_task/task.py"}
    for each in files:
        text = (folder / each).read_text()
        assert "$" not in text and ".in" not in Path(each).suffixes and (text.endswith("\n") or not text)
        if each.endswith(".py"):
            ast.parse(text)
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert (project["name"], project["license"]) == (f"evoweights-my-{kind}", "Apache-2.0")
    assert project["entry-points"]["evoweights"] == {module: f"evoweights_{module}"}
    assert project["dependencies"] == [f"evoweights>={'.'.join(__version__.split('.')[:2])}"]
    assert yaml.safe_load((folder / f"{module}.yaml").read_text())["plugins"] == [module]


def test_the_code_it_makes_is_formatted_and_linted(evoweights: CommandLine) -> None:
    style = ["--isolated", "--no-cache", "--line-length", "120", "--target-version", "py311"]
    rules = ["--select", "E,F,W,I,UP,B,SIM,RUF,D1,D200,BLE", "--ignore", "D102,D103,D107"]
    for folder in [made(evoweights, kind) for kind in KINDS]:
        for words in (["check", *rules], ["format", "--diff"]):
            command = [sys.executable, "-m", "ruff", *words, *style]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr


KITS = {
    "operator": "parametrize_operators",
    "improve": "parametrize_improvers",
    "task": "parametrize_tasks",
    "turn": "parametrize_turns",
    "select": "parametrize_selections",
}


@pytest.mark.parametrize("kind", KITS)
def test_the_conformance_of_a_component_is_one_line_of_its_test(kind: str, evoweights: CommandLine) -> None:
    text = (made(evoweights, kind) / "tests" / f"test_my_{kind}.py").read_text()
    assert f"@{KITS[kind]}([My{kind.capitalize()}()" in text
    assert "])\ndef test_contract(check):\n    check()\n" in text


@pytest.mark.slow
def test_the_tests_of_other_kinds_pass(
    evoweights: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one process, their conformance included; those of an operator are run where an environment is made."""
    folders = [made(evoweights, kind) for kind in KINDS if kind != "operator"]
    for folder in folders:
        put_on_path(folder, tmp_path / "site", monkeypatch)
    tests = [str(each) for folder in folders for each in folder.glob("tests/test_my_*.py")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", *tests]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=folders[0], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(".") > 50 and not {"F", "x"} & set(done.stdout.split()[0])


@pytest.mark.parametrize(("licence", "first"), [("Apache-2.0", "Apache License"), ("MIT", "MIT License")])
def test_the_licence_that_is_chosen_is_there(licence: str, first: str, evoweights: CommandLine) -> None:
    folder = made(evoweights, "turn", "--licence", licence)
    assert (folder / "LICENSE").read_text().strip().startswith(first)
    assert f"Licence: {licence}." in (folder / "README.md").read_text()
    assert tomllib.loads((folder / "pyproject.toml").read_text())["project"]["license"] == licence


def test_without_a_licence_it_cannot_be_published_by_mistake(evoweights: CommandLine) -> None:
    folder = made(evoweights, "turn", "--licence", "none")
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert not (folder / "LICENSE").exists() and "license" not in project
    assert project["classifiers"] == ["Private :: Do Not Upload"]


def test_it_is_made_where_it_is_asked_for_and_says_what_to_do_next(evoweights: CommandLine) -> None:
    outcome = evoweights("plugins", "new", "quick_step2", "--to", "some/where")
    place = "some/where/evoweights-quick-step2"
    assert Path(place, "evoweights_quick_step2/__init__.py").is_file()
    assert [line.strip() for line in outcome.out.split("Next:\n")[1].splitlines()] == [
        f"pip install --editable './{place}[test]'",
        f"evoweights run {place}/quick_step2.yaml",
        "evoweights plugins check quick_step2",
        f"python -m pytest {place}",
    ]


REFUSED = {
    "My": "expected at most 40 lower-case letters and digits, a letter first, with single - or _ between words, such as my.",
    "MyOperator": "such as my-operator.",
    "Torch": "such as my-torch.",
    "Drift 2D!": "such as drift-2d.",
    "2nd-order": "such as nd-order.",
    "a--b": "such as a-b.",
    "../a": "such as a.",
    "a.b": "such as a-b.",
    "": "found ''; expected",
    "möwe": "such as mowe.",
    "突然变异": "such as my-operator.",
    "x" * 41: f"such as {'x' * 40}.",
    "evoweights-foo": "evoweights- is put before it. Give only 'foo'",
    "evoweights_foo": "evoweights- is put before it. Give only 'foo'",
    "class": "means something else in Python or YAML",
    "off": "means something else in Python or YAML",
    "kernels": "there is a module evoweights_kernels already",
    "lm": "there is a module evoweights_lm already",
    "mutation": "evoweights_classic has a component operator mutation",
    "evoweights": "such as my-evoweights.",
    "torch": "such as my-torch.",
    "evoweights_kernels": "Give only 'kernels'",
    "random": "there is a Python module random already",
    "huggingface-hub": "there is a Python module huggingface_hub already, which a plugin of that name would be mistaken for. "
    "Take another name, such as my-huggingface-hub.",
    "gene": "Gene would hide Gene of evoweights. Take another name",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_cannot_be_used_is_refused_with_the_reason(name: str, evoweights: CommandLine) -> None:
    outcome = evoweights("plugins", "new", name)
    assert outcome.code == 2 and REFUSED[name] in outcome.err
    assert [each.name for each in Path().iterdir()] == ["small.yaml"]


def test_a_folder_without_code_takes_no_name(evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path.cwd()))
    Path("drift").mkdir()
    assert evoweights("plugins", "new", "drift").code == 0


def test_what_is_there_is_never_written_over(evoweights: CommandLine) -> None:
    folder = made(evoweights, "turn")
    (folder / "README.md").write_text("mine")
    outcome = evoweights("plugins", "new", "my-turn", "--kind", "task")
    assert (
        outcome.code == 2
        and "exists already. Remove it, or give another name" in outcome.err
        and (folder / "README.md").read_text() == "mine"
    )
    Path("file").write_text("")
    refused = evoweights("plugins", "new", "other", "--to", "file").err
    assert (
        refused.startswith("error: file/evoweights-other: cannot be made: ") and "Give another folder (--to)" in refused
    )


def test_what_could_not_be_written_whole_is_not_left_there(
    evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, text: str, **options: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    outcome = evoweights("plugins", "new", "other")
    assert outcome.code == 2 and "evoweights-other: cannot be written: " in outcome.err
    assert "Nothing was left there." in outcome.err and not Path("evoweights-other").exists()


def test_a_plugin_is_disabled_and_enabled_by_command(
    evoweights: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(evoweights, "turn")
    put_on_path(folder, tmp_path / "site", monkeypatch)
    assert f"my_turn is disabled now, in {switches.settings_file()}." in evoweights("plugins", "disable", "my_turn").out
    assert "was disabled before" in evoweights("plugins", "disable", "my_turn").out
    shown = evoweights("plugins")
    assert "disabled: " in shown.out and "FAILED" not in shown.out
    assert "evoweights_my_turn" not in sys.modules
    outcome = evoweights("validate", folder / "my_turn.yaml", "--schema-only")
    assert outcome.code == 2 and "`evoweights plugins enable my_turn` takes it out" in outcome.err
    assert "  disabled" in evoweights("doctor").out
    assert "may be used again" in evoweights("plugins", "enable", "my_turn").out
    assert evoweights("validate", folder / "my_turn.yaml", "--schema-only").code == 0


def test_enabling_does_not_hide_that_a_variable_still_disables(
    evoweights: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_on_path(made(evoweights, "turn"), tmp_path / "site", monkeypatch)
    evoweights("plugins", "disable", "my_turn")
    monkeypatch.setenv("EVOWEIGHTS_DISABLED_PLUGINS", "my_turn")
    assert "my_turn is still disabled: EVOWEIGHTS_DISABLED_PLUGINS" in evoweights("plugins", "enable", "my_turn").out


@pytest.mark.parametrize("command", ["disable", "enable"])
def test_what_cannot_be_switched_is_refused(command: str, evoweights: CommandLine) -> None:
    outcome = evoweights("plugins", command, "lm")
    words = {
        "disable": "lm is built in and always loaded; what a configuration does not name",
        "enable": "plugins.json disables no plugin 'lm'",
    }
    assert outcome.code == 2 and words[command] in outcome.err
    unknown = evoweights("plugins", command, "nothing")
    words = {
        "disable": "no installed plugin is called 'nothing'. ",
        "enable": "plugins.json disables no plugin 'nothing'. It disables none.\n",
    }
    assert unknown.code == 2 and words[command] in unknown.err


def test_list_is_what_the_group_does_by_itself(evoweights: CommandLine) -> None:
    assert evoweights("plugins", "list").out == evoweights("plugins").out
    assert evoweights("plugins", "list", "--json").out == evoweights("plugins", "--json").out


@pytest.mark.parametrize("kind", KINDS)
def test_the_configuration_goes_on_working_when_the_settings_of_the_component_are_replaced(
    kind: str, evoweights: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(evoweights, kind)
    code = folder / f"evoweights_my_{kind}" / "__init__.py"
    code.write_text(
        re.sub(r"\n    \w+: \w+ = setting\(.*\)", '\n    another: float = setting(0.5, "new")', code.read_text())
    )
    assert "another" in code.read_text()
    put_on_path(folder, tmp_path / "site", monkeypatch)
    outcome = evoweights("validate", folder / f"my_{kind}.yaml", "--schema-only")
    assert outcome.code == 0, outcome.err


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_that_checks_it_is_named_where_there_is_something_to_check(
    kind: str, evoweights: CommandLine
) -> None:
    outcome = evoweights("plugins", "new", "one", "--kind", kind)
    for text in (outcome.out, Path("evoweights-one", "README.md").read_text()):
        assert ("evoweights plugins check one\n" in text) == (kind != "observer")
