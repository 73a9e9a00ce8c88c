"""``evoweights plugins check``: components of a plugin are held to their contract, and what stands in the way is said."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import SMALL, CommandLine, Outcome

from evoweights.catalog import Entry
from evoweights.cli import conformance
from evoweights.cli.checked import _only_one
from evoweights.errors import UsageError
from evoweights.testing.report import Report, Result
from put_on_path import put_on_path

HEAD = """
from dataclasses import dataclass
from evoweights import TensorOperator, Traits, Turn, hookimpl, setting
"""
HALVES = '''
@dataclass(frozen=True)
class Halves(TensorOperator):
    """Takes the mean of both parents."""

    name, source = "halves", "a test"
    traits = Traits("crossover", stochastic=False, gene_wise=True, convex=True, memory_factor=3.0)

    def rewrite(self, target, source, noise):
        return {name: each + 0.5 * (source[name] - each) for name, each in target.items()}
'''
FORGETS = '''
@dataclass(frozen=True)
class Forgets(TensorOperator):
    """Keeps one parent, and claims to move with the other."""

    name, source = "forgets", "a test"
    traits = Traits("crossover", stochastic=False, translates=True)

    def rewrite(self, target, source, noise):
        return {name: each * 0.5 for name, each in target.items()}
'''
FIRST = '''
@dataclass(frozen=True)
class First:
    """Row 0 is always the one."""

    name, source = "first", "a test"

    def choose(self, generation, size, noise):
        return Turn((0,))
'''
NEEDS = '''
@dataclass(frozen=True)
class Needs:
    """Some row is always the one."""

    name, source = "needs", "a test"
    row: int = setting(doc="which")

    def choose(self, generation, size, noise):
        return Turn((min(self.row, size - 1),))
'''
WATCHES = '''
@dataclass(frozen=True)
class Watches:
    """Looks on."""

    name, source = "watches", "a test"
'''


def plugin(*parts: str, **components: str) -> str:
    added = "".join(f"    catalog.add({kind!r}, {name})\n" for name, kind in components.items())
    Path("mine.py").write_text(f"{HEAD}{''.join(parts)}\n@hookimpl\ndef register(catalog):\n{added or '    pass'}\n")
    return "./mine.py"


def test_a_plugin_that_keeps_its_contract_is_said_to(evoweights: CommandLine) -> None:
    name = plugin(HALVES, FIRST, NEEDS, Halves="operator", First="turn", Needs="turn")
    outcome = evoweights("plugins", "check", name, "--profile", "quick")
    assert outcome.code == 0, outcome.out + outcome.err
    assert "halves: contract 1, profile quick" in outcome.out and "EW-X07" in outcome.out
    assert "does not claim copies" in outcome.out
    assert "turn needs  needs row: check an instance of it in a test file" in outcome.out
    assert outcome.out.endswith("./mine.py: 2 components checked, every rule that applies is kept.\n")


def test_a_broken_rule_is_named_with_its_component_and_ends_with_5(evoweights: CommandLine) -> None:
    name = plugin(FORGETS, FIRST, Forgets="operator", First="turn")
    outcome = evoweights("plugins", "check", name, "--profile", "quick")
    assert outcome.code == 5
    assert "error: ./mine.py: 1 of 2 components breaks rules: forgets (EW-X08-shift)." in outcome.err
    assert "\nforgets: EW-X08-shift failed: " in outcome.err
    assert "child that is off by" in " ".join(outcome.out.split())


@pytest.mark.parametrize(
    ("broken", "kept", "said"),
    [
        (1, 0, "1 of 1 component breaks rules"),
        (1, 1, "1 of 2 components breaks rules"),
        (2, 0, "2 of 2 components break rules"),
        (2, 1, "2 of 3 components break rules"),
    ],
)
def test_how_many_break_rules_is_said_in_the_right_number(
    broken: int, kept: int, said: str, evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = Result("EW-X07", "a rule", "failed", "a reason")
    reports = [Report(f"c{row}", "quick", (failed,) if row < broken else ()) for row in range(broken + kept)]
    monkeypatch.setattr(
        conformance, "_checked", lambda found, expected, is_shown: [(found[0], each) for each in reports]
    )
    outcome = evoweights("plugins", "check", plugin(HALVES, Halves="operator"))
    assert outcome.code == 5 and f"error: ./mine.py: {said}: c0 (EW-X07)" in outcome.err


def test_json_is_a_list_of_reports(evoweights: CommandLine) -> None:
    name = plugin(FORGETS, FIRST, NEEDS, Forgets="operator", First="turn", Needs="turn")
    outcome = evoweights("plugins", "check", name, "--profile=quick", "--json")
    assert outcome.code == 5
    turn, operator, needs = json.loads(outcome.out)
    assert (turn["kind"], turn["component"], turn["is_conforming"]) == ("turn", "first", True)
    assert (operator["kind"], operator["component"], operator["is_conforming"]) == ("operator", "forgets", False)
    (broken,) = [each for each in operator["results"] if each["status"] == "failed"]
    assert broken["id"] == "EW-X08-shift" and broken["seconds"] > 0 and operator["versions"]["hypothesis"]
    assert needs["unchecked"].startswith("needs row")


@pytest.mark.parametrize("rule", ["EW-X08-shift", "X08-shift", "forgets:EW-X08-shift"])
def test_a_rule_may_be_broken_with_a_reason(rule: str, evoweights: CommandLine) -> None:
    name = plugin(FORGETS, Forgets="operator")
    outcome = evoweights("plugins", "check", name, "--profile=quick", f"--expect={rule}=it only shrinks")
    assert outcome.code == 0, outcome.err
    assert "expected failure" in outcome.out and "it only shrinks" in outcome.out
    end = "1 component checked, every rule that applies is kept but 1 that was expected to be broken.\n"
    assert outcome.out.endswith(end)


def test_a_rule_that_is_kept_all_the_same_is_an_error(evoweights: CommandLine) -> None:
    name = plugin(HALVES, Halves="operator")
    outcome = evoweights("plugins", "check", name, "--profile=quick", "--expect=EW-X07=leaves the hull")
    assert outcome.code == 5 and "halves (EW-X07)" in outcome.err and "unexpected pass" in outcome.out
    assert "\nhalves: EW-X07 unexpected pass: leaves the hull" in outcome.err


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        ("EW-X07", "--expect: found 'EW-X07'; expected a rule and why it is broken, such as 'EW-G15=why'."),
        ("EW-X07= ", "--expect: found 'EW-X07= '; expected a rule and why it is broken"),
        ("EW-X7=why", "expected failure EW-X7: there is no such rule. Did you mean 'EW-X07'?"),
        ("halve:EW-X07=why", "expected failure halve:EW-X07: no component 'halve' is checked. Did you mean 'halves'?"),
    ],
)
def test_an_expectation_that_cannot_be_is_refused(expect: str, message: str, evoweights: CommandLine) -> None:
    outcome = evoweights("plugins", "check", plugin(HALVES, Halves="operator"), "--profile=quick", "--expect", expect)
    assert outcome.code == 2 and message in outcome.err and outcome.out == ""


def test_a_rule_is_expected_once(evoweights: CommandLine) -> None:
    twice = ["--expect=EW-X07=why", "--expect=EW-X07=because"]
    outcome = evoweights("plugins", "check", plugin(HALVES, Halves="operator"), *twice)
    assert outcome.code == 2 and "--expect: EW-X07 is given twice." in outcome.err


def test_an_unknown_plugin_is_answered_with_the_nearest(
    evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = importlib.metadata.EntryPoint("mutations", "nowhere", "evoweights")
    found = importlib.metadata.EntryPoints([point])
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: found)
    outcome = evoweights("plugins", "check", "mutationss")
    assert outcome.code == 2
    assert outcome.err.startswith("error: no installed plugin is called 'mutationss'. Did you mean 'mutations'?")
    plugin(HALVES, Halves="operator")
    outcome = evoweights("plugins", "check", "./mne.py")
    assert outcome.code == 2 and "error: no file" in outcome.err and "Did you mean 'mine.py'?" in outcome.err


def test_a_plugin_that_was_made_and_not_installed_is_said_to_be(
    evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert evoweights("plugins", "new", "drift-off").code == 0
    folder = Path("evoweights-drift-off").absolute()
    install = "pip install --editable './evoweights-drift-off[test]'"
    said = f"drift_off is made, but not installed: {folder}. Install it with: {install}\n"
    assert evoweights("plugins", "check", "drift_off") == Outcome(2, "", f"error: {said}")
    outcome = evoweights("run", "evoweights-drift-off/drift_off.yaml")
    assert outcome.code == 2 and outcome.err.endswith(f"plugins.0: {said}")
    monkeypatch.chdir("/")
    assert "pip install --editable" in evoweights("run", folder / "drift_off.yaml").err
    assert "no installed plugin is called 'drift_off'" in evoweights("plugins", "check", "drift_off").err


@pytest.mark.parametrize("below", ["", "/", "/evoweights_drift_off"])
def test_a_folder_is_answered_with_the_commands_that_check_its_plugin(below: str, evoweights: CommandLine) -> None:
    assert evoweights("plugins", "new", "drift-off").code == 0
    outcome = evoweights("plugins", "check", f"evoweights-drift-off{below}")
    place = f"evoweights-drift-off{below}".removesuffix("/")
    assert outcome.code == 2 and outcome.err == (
        f"error: {place} is a folder; a plugin is checked by its name, once it is installed:\n"
        "  pip install --editable './evoweights-drift-off[test]'\n"
        "  evoweights plugins check drift_off\n"
    )


def test_the_folder_of_a_plugin_that_is_installed_is_not_installed_again(
    evoweights: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert evoweights("plugins", "new", "drift-off").code == 0
    put_on_path(Path("evoweights-drift-off").absolute(), tmp_path / "site", monkeypatch)
    outcome = evoweights("plugins", "check", "evoweights-drift-off")
    assert outcome.code == 2 and "evoweights plugins check drift_off\n" in outcome.err and "pip" not in outcome.err


@pytest.mark.parametrize(
    "project",
    [None, "", "[project]\nname = 'x'", "project = 2", "[project]\nentry-points = {other = {a = 'b'}}"],
)
def test_a_folder_without_a_plugin_is_refused(project: str | None, evoweights: CommandLine) -> None:
    Path("mine").mkdir()
    if project is not None:
        Path("mine/pyproject.toml").write_text(project)
    outcome = evoweights("plugins", "check", "mine")
    assert outcome.code == 2 and "error: mine is a folder without a plugin: no pyproject.toml there" in outcome.err


@pytest.mark.parametrize(
    ("project", "said"),
    [
        (
            b'[project]\nname = "x\nversion = "1"\n',
            "cannot be read: Illegal character '\\n' (at line 2, column 10). Correct it",
        ),
        (b"[project]\nname = '\xff'\n", "cannot be read: 'utf-8' codec can't decode byte 0xff in position 18"),
    ],
)
@pytest.mark.parametrize("words", ["plugins check mine", "plugins check plugin_of_mine", "run wants.yaml"])
def test_a_distribution_that_cannot_be_read_is_not_taken_for_none(
    words: str, project: bytes, said: str, evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("mine").mkdir()
    Path("mine/pyproject.toml").write_bytes(project)
    Path("mine/wants.yaml").write_text(SMALL + "plugins: [plugin_of_mine]\n")
    if words != "plugins check mine":
        monkeypatch.chdir("mine")
    outcome = evoweights(*words.split())
    assert outcome.code == 2 and f"pyproject.toml: {said}" in outcome.err, outcome.err
    assert outcome.err.endswith("Correct it, or remove it.\n")


def test_a_built_in_component_is_checked_by_its_name(evoweights: CommandLine) -> None:
    outcome = evoweights("plugins", "check", "round_robin", "--profile", "quick")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith(" ") and "round_robin: contract" in outcome.out
    assert outcome.out.endswith("round_robin: 1 component checked, every rule that applies is kept.\n")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("psoo", "Did you mean pso, a component (operator) of evoweights_classic?"),
        ("classics", "Did you mean classic, a built-in plugin?"),
        ("dense", "control dense: there are no checks for components of kind control"),
        (
            "subspace",
            "error: subspace has nothing that can be checked by its name:\n"
            "  perturbation subspace: there are no checks for components of kind perturbation\n"
            "  space subspace: there are no checks for components of kind space\n",
        ),
    ],
)
def test_a_name_that_is_no_plugins_is_looked_for_among_components(
    name: str, said: str, evoweights: CommandLine
) -> None:
    outcome = evoweights("plugins", "check", name)
    assert outcome.code == 2 and said in outcome.err and outcome.out == ""


def test_a_name_of_several_components_that_can_be_checked_is_asked_back() -> None:
    entries = [Entry("operator", "thing", object, "mine 1.0"), Entry("turn", "thing", object, "yours 2.0")]
    entries.append(Entry("control", "thing", object, "yours 2.0"))  # which has no checks
    with pytest.raises(UsageError) as caught:
        _only_one("thing", entries)
    assert str(caught.value) == (
        "thing is a component (operator) of mine 1.0 and a component (turn) of yours 2.0. "
        "Give the name of one of these plugins."
    )


def test_a_plugin_that_comes_with_evoweights_can_be_checked(evoweights: CommandLine) -> None:
    outcome = evoweights("plugins", "check", "monitor")
    assert outcome.code == 2 and "monitor has nothing that can be checked by its name" in outcome.err
    assert "there are no checks for components of kind observer" in outcome.err


def test_a_plugin_that_cannot_be_loaded_is_named(evoweights: CommandLine) -> None:
    Path("mine.py").write_text("import no_such_module\n")
    outcome = evoweights("plugins", "check", "./mine.py")
    assert outcome.code == 5 and "plugin mine" in outcome.err and "No module named 'no_such_module'" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_component_that_cannot_be_made_is_named(evoweights: CommandLine) -> None:
    refuses = HALVES + "    def __post_init__(self):\n        raise ValueError('never')\n"
    outcome = evoweights("plugins", "check", plugin(refuses, Halves="operator"))
    assert outcome.code == 5
    assert "operator halves: made with its defaults raised ValueError: never" in outcome.err


def test_a_plugin_without_components_has_nothing_to_check(evoweights: CommandLine) -> None:
    outcome = evoweights("plugins", "check", plugin())
    assert outcome.code == 2 and "./mine.py adds no component, so that there is nothing to check." in outcome.err


def test_components_that_cannot_be_checked_by_name_say_why(evoweights: CommandLine) -> None:
    outcome = evoweights("plugins", "check", plugin(NEEDS, WATCHES, Needs="turn", Watches="observer"))
    assert outcome.code == 2
    assert "turn needs: needs row: check an instance of it in a test file" in outcome.err
    assert "observer watches: there are no checks for components of kind observer" in outcome.err


def test_without_hypothesis_it_says_how_to_get_it(evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    outcome = evoweights("plugins", "check", plugin(HALVES, Halves="operator"))
    assert outcome.code == 2
    assert (
        "needs hypothesis, which is not installed. Install it with `pip install 'evoweights[testing]'`" in outcome.err
    )


def test_its_help_imports_neither_torch_nor_hypothesis() -> None:
    script = (
        "import sys\nfrom evoweights.cli import main\nsys.argv = ['evoweights', 'plugins', 'check', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "sys.exit(len({'torch', 'hypothesis'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0 and "Usage: evoweights plugins check" in done.stdout
