"""Ctrl-C at any moment ends a command with one line and exit code 130."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import SMALL, CommandLine

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
