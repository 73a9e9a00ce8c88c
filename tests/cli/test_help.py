import inspect
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine
from typer.main import get_command

import evoweights as package
from evoweights import errors
from evoweights.cli.app import app

ROOT = Path(__file__).parents[2]
COMMANDS = [each.callback.__name__ for each in app.registered_commands if each.callback]
GROUPS = {
    group.name: [each.name or each.callback.__name__ for each in group.typer_instance.registered_commands]
    for group in app.registered_groups
}

# Runs command lines given as JSON in one fresh process; reports exit codes and the first that imported torch.
WITHOUT_TORCH = """
import contextlib, io, json, sys
from evoweights.cli import main
codes, culprit = [], None
for arguments in json.loads(sys.stdin.read()):
    sys.argv = ["evoweights", *arguments]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            main()
        except SystemExit as error:
            codes.append(error.code)
    if "torch" in sys.modules and culprit is None:
        culprit = arguments
print(json.dumps([codes, culprit]))
"""


HEAVY = (
    "torch",
    "numpy",
    "numba",
    "triton",
    "transformers",
    "hypothesis",
    "omegaconf",
    "yaml",
    "pluggy",
    "rich",
    "safetensors",
)

# Shows the help of command lines given as JSON in one fresh process; reports what of the second list it imported, and for which.
HELP = """
import contextlib, io, json, sys
from evoweights.cli import main
lines, heavy = json.loads(sys.stdin.read())
imported, codes = {}, []
for words in lines:
    sys.argv = ["evoweights", *words, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        try:
            main()
        except SystemExit as error:
            codes.append(error.code)
    assert shown.getvalue().startswith(" ".join(["Usage: evoweights", *words])), shown.getvalue()
    for name in heavy:
        if name in sys.modules:
            imported.setdefault(name, words)
print(json.dumps([codes, imported]))
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def test_all_commands_are_there() -> None:
    assert [
        *(
            "run",
            "resume",
            "validate",
            "status",
            "verify",
            "report",
            "compare",
            "ablate",
            "export",
            "generate",
            "replay",
            "operators",
            "doctor",
        )
    ] == COMMANDS
    assert {group: sorted(each) for group, each in GROUPS.items()} == {
        "plugins": ["check", "disable", "enable", "list", "new"],
        "kernels": ["list", "show"],
    }


def test_nothing_that_needs_no_torch_imports_it() -> None:
    lines = [["--help"], ["--version"], [], ["plugins"], ["plugins", "--json"], ["operators"], ["operators", "--json"]]
    lines += [[command, "--help"] for command in [*COMMANDS, *GROUPS]]
    lines += [[group, command, "--help"] for group, commands in GROUPS.items() for command in commands]
    lines += [["plugins", "list"], ["plugins", "new", "mine"], ["plugins", "new", "other", "--kind", "task"]]
    lines += [["validate", "small.yaml", "--schema-only"], ["run", "none.yaml"], ["run", "small.yaml", "seed=x"]]
    lines += [["status", "none"], ["verify", "none"], ["resume", "none"], ["report", "none"], ["no-such-command"]]
    script = [sys.executable, "-c", WITHOUT_TORCH]
    done = subprocess.run(
        script, input=json.dumps(lines), env=environment(), capture_output=True, text=True, check=True
    )
    codes, culprit = json.loads(done.stdout)
    assert culprit is None
    # Without a command the help is shown, and that is a usage error for typer.
    expected = [2 if each in ([], *lines[-7:]) else 0 for each in lines]
    assert codes == expected


def every_command(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of the command itself and of all below it."""
    yield words
    for name, each in getattr(command, "commands", {}).items():
        yield from every_command(each, (*words, name))


def test_help_of_no_command_imports_what_it_does_not_need() -> None:
    lines = list(every_command(get_command(app)))
    assert ("plugins", "new") in lines and ("run",) in lines
    done = subprocess.run(
        [sys.executable, "-c", HELP],
        input=json.dumps([lines, HEAVY]),
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [[0] * len(lines), {}]


def test_importing_the_package_imports_neither_torch_nor_the_plugins() -> None:
    code = "import sys, evoweights; print(sorted({'torch', 'omegaconf', 'pluggy', 'typer'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_are_there() -> None:
    for name in package.__all__:
        assert getattr(package, name) is not None
    assert dir(package) == sorted(package.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        package.nothing  # noqa: B018 - the access is what is tested


def test_version_is_that_of_the_project(evoweights: CommandLine) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    outcome = evoweights("--version")
    assert outcome.out == f"evoweights {package.__version__}\n"
    assert project.get("version", package.__version__) == package.__version__


def test_help_lists_every_exit_code(evoweights: CommandLine) -> None:
    shown = evoweights("--help").out
    classes = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, Exception)]
    codes = {each.exit_code for each in classes} | {0, 130, 143}
    table = shown.split("Exit codes:")[1].splitlines()
    assert {int(line.split()[0]) for line in table if line.split()} == codes


@pytest.mark.parametrize("command", [*COMMANDS, *GROUPS])
def test_help_of_a_command_starts_with_what_it_does(command: str, evoweights: CommandLine) -> None:
    outcome = evoweights(command, "--help")
    assert outcome.code == 0 and outcome.out.startswith(f"Usage: evoweights {command}")


def test_unknown_command_is_answered_with_the_nearest(evoweights: CommandLine) -> None:
    outcome = evoweights("rum")
    assert outcome.code == 2 and "'run'" in outcome.err and outcome.out == ""


def test_module_is_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "evoweights", "run", "missing.yaml"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: missing.yaml: there is no such file.") and "Traceback" not in done.stderr


def test_reader_that_goes_away_is_no_error() -> None:
    command = [sys.executable, "-m", "evoweights", "operators"]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 0
