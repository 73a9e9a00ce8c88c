"""One process writes to a run; a second one is told who, and a killed one lets go at once."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from evoweights.errors import RunInUseError
from evoweights.storage.run_dir import RunDirectory
from evoweights.storage.run_lock import HOLDER, RunLock, holder_of

HOLD = """
import sys
from pathlib import Path
from evoweights.storage.run_lock import RunLock
lock = RunLock.acquire(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other_process(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_told_who_holds_the_run(tmp_path, other_process):
    with pytest.raises(RunInUseError) as raised:
        RunLock.acquire(tmp_path)
    assert raised.value.exit_code == 8
    for part in (f"process {other_process.pid} on {socket.gethostname()} since 20", "--fresh", "evoweights status"):
        assert part in str(raised.value)
    holder = holder_of(tmp_path)
    assert holder is not None and holder.pid == other_process.pid


def test_after_the_holder_is_killed_the_run_is_free(tmp_path, other_process):
    os.kill(other_process.pid, signal.SIGKILL)
    other_process.wait()
    assert holder_of(tmp_path) is None and (tmp_path / HOLDER).exists()
    lock = RunLock.acquire(tmp_path)
    assert json.loads((tmp_path / HOLDER).read_text())["pid"] == os.getpid()
    lock.release()


def test_a_lock_that_was_let_go_can_be_taken_again(tmp_path):
    for _ in range(3):
        lock = RunLock.acquire(tmp_path)
        assert holder_of(tmp_path) == lock.holder
        with pytest.raises(RunInUseError):
            RunLock.acquire(tmp_path)
        lock.release()
        lock.release()
        assert holder_of(tmp_path) is None and not (tmp_path / HOLDER).exists()


def test_a_damaged_note_about_the_holder_does_not_hide_that_there_is_one(tmp_path, other_process):
    (tmp_path / HOLDER).write_text("{")
    with pytest.raises(RunInUseError, match="unknown host"):
        RunLock.acquire(tmp_path)


def test_a_run_that_could_not_be_opened_is_not_held(tmp_path):
    def start(config: str) -> RunDirectory:
        return RunDirectory.open(tmp_path, "run", config_text=config, overrides=[], environment={})

    with start("seed: 1") as run:
        run.finish("done")
    for config in ("seed: 1", "seed: 2"):
        with pytest.raises(Exception, match=r"finished|another configuration"):
            start(config)
        assert holder_of(run.folder) is None
