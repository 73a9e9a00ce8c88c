"""Ctrl-C at any moment ends a command with one line and exit code 130."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import FAST, SMALL, CommandLine

# Sends this process SIGINT at the moment a module is about to be imported, then runs a command line.
AT_IMPORT = """
import importlib.abc, os, signal, sys

WHERE = sys.argv[1]

class Interrupt(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == WHERE:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)
        return None

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever starts tests in the background ignores it
sys.meta_path.insert(0, Interrupt())
from evoweights.cli import main
sys.argv = ["evoweights", *sys.argv[2:]]
main()
"""

MODULES = (
    *("typer", "evoweights.cli.app", "yaml", "omegaconf", "evoweights.config.schema"),
    *("torch", "torch._C", "numpy", "torch.optim", "numba", "evoweights.runs.session", "filelock"),
)


def _interrupted(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    Path("small.yaml").write_text(SMALL)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("module", MODULES)
def test_ctrl_c_before_a_run_has_begun_is_one_line(module: str) -> None:
    done = _interrupted(AT_IMPORT, module, "run", "small.yaml")
    assert (done.returncode, done.stdout) == (130, ""), done.stderr
    assert done.stderr == "Stopped by Ctrl-C.\n"
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("command", "module"), [("status", "evoweights.storage.run_dir"), ("operators", "pluggy"), ("export", "numpy")]
)
def test_ctrl_c_in_another_command_is_one_line(command: str, module: str) -> None:
    done = _interrupted(AT_IMPORT, module, *([command] if command == "operators" else [command, "runs/small"]))
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped by Ctrl-C.\n")


# The first Ctrl-C comes in step 3; the second while the checkpoint that it asks for is being written.
TWICE = """
import os, signal, sys
from evoweights.cli import main
from evoweights.training import Training
from evoweights.storage.checkpoints import CheckpointStore

close, save = Training._close_turn, CheckpointStore.save
def interrupt(*arguments, **options):
    os.kill(os.getpid(), signal.SIGINT)
    return close(*arguments, **options)
def interrupt_again(self, *arguments, **options):
    if interrupted():
        os.kill(os.getpid(), signal.SIGINT)
    return save(self, *arguments, **options)
interrupted = lambda: Training._close_turn is interrupt
Training._close_turn, CheckpointStore.save = interrupt, interrupt_again
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["evoweights", "run", "small.yaml"]
main()
"""


def test_a_second_ctrl_c_ends_the_run_at_once_and_says_how_to_go_on(evoweights: CommandLine) -> None:
    done = _interrupted(TWICE)
    assert done.returncode == 130 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == (
        "Stopped at once by a second Ctrl-C, without waiting for a checkpoint; what was done since the last one is done "
        "again. Continue with: evoweights resume runs/small"
    )
    assert evoweights("resume", "runs/small").code == 0


# Sends Ctrl-C at the end of a generation of the run that is named.
PRESSED = f"""{FAST}
import os, signal

@hookimpl
def generation_finished(info, record):
    if info.name == os.environ["PRESSED_IN"] and record.generation == 1:
        os.kill(os.getpid(), signal.SIGINT)
"""
ADVICE = re.compile("evoweights resume|same command")


@pytest.mark.parametrize(("words", "interrupted"), [
    ("run mine.yaml", "mine"),
    ("run mine.yaml --quiet", "mine"),
    ("run mine.yaml controls=[fast]", "mine-fast"),
    ("run mine.yaml controls=[fast] --quiet", "mine-fast"),
    ("ablate mine.yaml --seeds 1", "mine-fast-s42"),
    ("ablate mine.yaml --seeds 1 --json", "mine-fast-s42"),
    ("ablate mine.yaml --seeds 1 --progress", "mine-s42"),
])  # fmt: skip
def test_how_to_go_on_is_said_once_and_is_true(
    evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch, words: str, interrupted: str
) -> None:
    Path("pressed.py").write_text(PRESSED)
    Path("mine.yaml").write_text(
        SMALL.replace("observers: []", "plugins: [./pressed.py]\nobservers: [{name: console}]")
    )
    monkeypatch.setenv("PRESSED_IN", interrupted)
    stopped = evoweights(*words.split())
    assert stopped.code == 130 and not (Path("runs") / interrupted / "DONE").exists()
    assert len(ADVICE.findall(stopped.out + stopped.err)) == 1, stopped
    assert "Stopped in generation 2 after 4 steps; a checkpoint is written." in stopped.err
    monkeypatch.setenv("PRESSED_IN", "")
    assert evoweights(*words.split()).code == 0
    assert all((each / "DONE").exists() for each in Path("runs").iterdir())
