"""`evoweights plugins` as a user meets it: what a configuration has active, what is wrong, and what is in the way."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import CommandLine

from put_on_path import put_on_path

SHADOW = """
from dataclasses import dataclass
from evoweights import hookimpl

print("a plugin that talks")

@dataclass(frozen=True)
class Mutation:
    "Is called like a built-in operator."
    name, source = "mutation", "me"

@hookimpl
def register(catalog):
    catalog.add("operator", Mutation)
"""


@pytest.fixture(autouse=True)
def modules_of_plugins_are_forgotten() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for each in set(sys.modules) - before:
        if each.startswith(("evoweights_one", "evoweights_two")):
            del sys.modules[each]


@pytest.fixture
def two_plugins(evoweights: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugins one and two, a turn each."""
    for name in ("one", "two"):
        assert evoweights("plugins", "new", name, "--kind", "turn").code == 0
        put_on_path(Path(f"evoweights-{name}").absolute(), tmp_path / "site", monkeypatch)


def test_a_configuration_says_which_are_active(evoweights: CommandLine, two_plugins: None) -> None:
    shown = evoweights("plugins", "--config", "evoweights-two/two.yaml").out
    named = shown.split("Named by evoweights-two/two.yaml, active in its runs:\n")[1].split(
        "Installed, not named by it:\n"
    )
    assert [each.split()[:2] for each in named] == [["two", "0.1.0"], ["one", "0.1.0"]]
    listed = json.loads(evoweights("plugins", "list", "--config", "evoweights-two/two.yaml", "--json").out)
    told = {each["name"]: (each["status"], each["active"]) for each in listed if not each["official"]}
    assert told == {"two": ("active", True), "one": ("ok", False)}
    assert all(each["active"] for each in listed if each["official"])


def test_a_file_that_is_called_like_an_installed_plugin_does_not_hide_it(
    evoweights: CommandLine, two_plugins: None
) -> None:
    Path("one.py").write_text(SHADOW.replace('"mutation"', '"another"'))
    Path("local.yaml").write_text("plugins: [./one.py]\n" + Path("small.yaml").read_text())
    listed = json.loads(evoweights("plugins", "--config", "local.yaml", "--json").out)
    told = [(each["request"], each["status"]) for each in listed if each["name"] == "one"]
    assert told == [("./one.py", "active"), ("", "ok")]


def test_without_one_none_of_the_installed_is_active(evoweights: CommandLine, two_plugins: None) -> None:
    listed = json.loads(evoweights("plugins", "--json").out)
    assert {each["name"]: each["active"] for each in listed if not each["official"]} == {"one": False, "two": False}


def test_a_configuration_that_names_none_or_cannot_be_read(evoweights: CommandLine) -> None:
    assert "Named by small.yaml, active in its runs: none" in evoweights("plugins", "--config", "small.yaml").out
    assert "there is no such file. Did you mean 'small.yaml'?" in evoweights("plugins", "--config", "smal.yaml").err
    Path("odd.yaml").write_text("plugins: one")
    outcome = evoweights("plugins", "--config", "odd.yaml")
    assert outcome.code == 2 and "odd.yaml:1: plugins: expected a list of names" in outcome.err


def test_an_option_before_the_command_is_not_swallowed(evoweights: CommandLine) -> None:
    outcome = evoweights("plugins", "--json", "list")
    assert (
        outcome.code == 2 and "--json: found before `list`; options of a command stand behind its name" in outcome.err
    )


def test_a_component_like_a_built_in_one_is_refused_with_both_named_and_what_it_prints_is_not_in_the_list(
    evoweights: CommandLine,
) -> None:
    Path("shadow.py").write_text(SHADOW)
    Path("shadow.yaml").write_text("plugins: [./shadow.py]\n" + Path("small.yaml").read_text())
    outcome = evoweights("plugins", "--config", "shadow.yaml", "--json")
    (listed,) = [each for each in json.loads(outcome.out) if each["name"] == "shadow"]
    assert "a plugin that talks" in outcome.err
    refused = evoweights("validate", "shadow.yaml", "--schema-only")
    assert refused.code == 5 and listed["status"] == "failed"
    for said in (refused.err, listed["reason"]):
        assert "'operator mutation' is taken twice: by evoweights_classic and by shadow (" in said
        assert "or rename what one of them offers" in said


def test_a_folder_in_which_nothing_may_be_written_is_told_of(
    evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    outcome = evoweights("plugins", "new", "one")
    assert outcome.code == 2 and "cannot be made: [Errno 13] Permission denied" in outcome.err
    assert "Give another folder (--to)" in outcome.err


def test_what_cannot_be_written_to_the_end_leaves_nothing_behind(
    evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_text

    def full(path: Path, text: str, **options: str) -> int:
        if path.name == "LICENSE":
            raise OSError(28, "No space left on device")
        return write(path, text, **options)

    monkeypatch.setattr(Path, "write_text", full)
    outcome = evoweights("plugins", "new", "one")
    assert outcome.code == 2 and "No space left on device. Nothing was left there." in outcome.err
    assert [each.name for each in Path().iterdir()] == ["small.yaml"]


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [("--kind", "operators", "'operator'"), ("--licence", "GPL", "'apache-2.0', 'mit', 'none'")],
)
def test_an_unknown_kind_or_licence_is_refused_with_those_there_are(
    option: str, value: str, allowed: str, evoweights: CommandLine
) -> None:
    outcome = evoweights("plugins", "new", "one", option, value)
    assert outcome.code == 2 and option in outcome.err and allowed in outcome.err


def test_kinds_and_licences_are_understood_in_any_case_and_licence_in_both_spellings(evoweights: CommandLine) -> None:
    assert evoweights("plugins", "new", "one", "--kind", "Turn", "--license", "mit").code == 0
    assert Path("evoweights-one", "LICENSE").read_text().startswith("MIT License")


@pytest.mark.parametrize("words", ["run small.yaml controls=[]", "plugins", "validate small.yaml"])
@pytest.mark.parametrize("variable", ["EVOWEIGHTS_DISABLED_PLUGINS", "EVOWEIGHTS_LOAD_PLUGINS"])
def test_a_name_that_switches_nothing_off_is_warned_of_once(
    evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch, variable: str, words: str
) -> None:
    monkeypatch.setenv(variable, "mountains")
    outcome = evoweights(*words.split())
    told = [line for line in outcome.err.splitlines() if variable in line]
    assert outcome.code == 0 and len(told) == 1, outcome.err
    assert told[0].startswith(f"warning: {variable}: no installed plugin is called 'mountains'. ")
    assert told[0].endswith(" Take it out there.")
