import json
import shutil
from pathlib import Path

import pytest
from command_line import SMALL, CommandLine

from evoweights.runs import session

# Asks the run to stop at the end of a generation, as Ctrl-C does.
STOPPER = """
import os
from evoweights import hookimpl
from evoweights.errors import RunStopped

@hookimpl
def checkpoint_saved(info, generation):
    if generation == int(os.environ.get("STOP_AT", -1)):
        raise RunStopped("Stopped; the same command continues.", exit_code=130)
"""


@pytest.fixture
def stopped(evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that stopped half way."""
    Path("stopper.py").write_text(STOPPER)
    Path("half.yaml").write_text(SMALL + "plugins: [./stopper.py]\n")
    monkeypatch.setenv("STOP_AT", "2")
    outcome = evoweights("run", "half.yaml")
    assert (outcome.code, outcome.err) == (130, "Stopped; the same command continues.\n")
    monkeypatch.delenv("STOP_AT")
    return Path("runs/half")


def best(run: Path) -> bytes:
    return (run / "best" / "genome.safetensors").read_bytes()


def test_run_writes_its_folder_where_the_command_is_given(evoweights: CommandLine) -> None:
    assert evoweights("run", "small.yaml").code == 0
    assert Path("runs/small/DONE").exists()
    assert evoweights("run", "small.yaml", "--output", "there", "--name", "other", "seed=3").code == 0
    assert "seed: 3" in Path("there/other/config.yaml").read_text()
    assert Path("there/other/overrides.txt").read_text().splitlines() == ["seed=3", "name=other", "output=there"]


def test_finished_run_is_said_to_be_finished_unless_fresh(evoweights: CommandLine) -> None:
    evoweights("run", "small.yaml")
    again = evoweights("run", "small.yaml")
    assert again.code == 0 and "is finished" in again.err and not again.err.startswith("error")
    assert evoweights("run", "small.yaml", "--fresh").code == 0
    assert best(Path("runs/small")) == best(Path("runs/small-2"))


def test_run_of_the_same_name_with_another_configuration_is_refused(evoweights: CommandLine) -> None:
    evoweights("run", "small.yaml")
    outcome = evoweights("run", "small.yaml", "seed=1")
    assert outcome.code == 2 and "seed: 1" in outcome.err


def test_console_is_quiet_on_request(evoweights: CommandLine) -> None:
    Path("loud.yaml").write_text(SMALL.replace("observers: []", "observers: [{name: console}]"))
    quiet, loud = evoweights("run", "loud.yaml", "--quiet").out, evoweights("run", "loud.yaml", "--fresh").out
    assert 0 < len(quiet) < len(loud) and "generation" not in quiet


def test_stopped_run_is_continued_by_the_same_command(evoweights: CommandLine, stopped: Path) -> None:
    assert evoweights("run", "half.yaml").code == 0
    evoweights("run", "small.yaml")
    assert best(stopped) == best(Path("runs/small"))


def test_stopped_run_is_resumed_wherever_it_lies_now(evoweights: CommandLine, stopped: Path) -> None:
    shutil.move(stopped, "elsewhere")
    Path("half.yaml").unlink()
    overrides = Path("elsewhere/overrides.txt").read_text()
    assert evoweights("resume", "elsewhere").code == 0
    evoweights("run", "small.yaml")
    assert best(Path("elsewhere")) == best(Path("runs/small"))
    assert Path("elsewhere/overrides.txt").read_text() == overrides and not stopped.exists()
    again = evoweights("resume", "elsewhere")
    assert again.code == 0 and "is finished" in again.err


def test_status_says_how_a_run_stands(evoweights: CommandLine, stopped: Path) -> None:
    shown = evoweights("status", stopped).out
    assert "runs/half: stopped" in shown and "2 of 4 done" in shown and f"evoweights resume {stopped}" in shown
    facts = json.loads(evoweights("status", stopped, "--json").out)
    assert facts["state"] == "stopped" and facts["resumable"] and facts["problems"] == []
    evoweights("resume", stopped)
    facts = json.loads(evoweights("status", stopped, "--json").out)
    assert facts["state"] == "finished" and not facts["resumable"]


def test_verify_names_what_is_damaged(evoweights: CommandLine) -> None:
    evoweights("run", "small.yaml")
    intact = evoweights("verify", "runs/small")
    assert intact.code == 0 and intact.out.count("intact") == 3
    file = max(Path("runs/small/checkpoints").glob("step-*/individuals/0001.safetensors"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    outcome = evoweights("verify", "runs/small")
    assert outcome.code == 4 and outcome.out.count("DAMAGED") >= 1
    assert outcome.err.startswith("error: runs/small:") and file.parents[1].name in outcome.err
    assert file.name in outcome.out


@pytest.mark.parametrize("command", ["status", "verify", "resume", "export", "generate"])
def test_folder_that_is_no_run_is_refused(command: str, evoweights: CommandLine) -> None:
    evoweights("run", "small.yaml")
    outcome = evoweights(command, "runs/smal")
    assert outcome.code == 2 and "is no run" in outcome.err and "'small'" in outcome.err


def test_task_that_cannot_export_or_generate_says_so(evoweights: CommandLine) -> None:
    evoweights("run", "small.yaml")
    outcome = evoweights("export", "runs/small")
    assert outcome.code == 2 and "has no export format" in outcome.err
    outcome = evoweights("generate", "runs/small", "-p", "Hello", "--expert", "1")
    assert outcome.code == 2 and "generates no text" in outcome.err
    assert evoweights("export", "runs/small", "--expert", "7").code == 2


def test_bug_is_shown_with_its_traceback(evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "run", lambda config, *, fresh: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        evoweights("run", "small.yaml")


def test_variable_is_allowed_on_the_command_line_and_stays_out_of_the_run(
    evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SEED", "271828182")
    text = SMALL + "seed: ${oc.env:MY_SEED}\n"
    Path("secret.yaml").write_text(text)
    refused = evoweights("run", "secret.yaml")
    assert refused.code == 2 and "--allow-env MY_SEED" in refused.err
    assert evoweights("run", "secret.yaml", "--allow-env", "MY_SEED").code == 0
    for file in Path("runs/secret").glob("*.*"):
        if file.is_file():
            assert b"271828182" not in file.read_bytes(), file
    assert evoweights("resume", "runs/secret").code == 2
    assert evoweights("resume", "runs/secret", "--allow-env", "MY_SEED").code == 0


def test_validate_plans_and_estimates_and_leaves_nothing(evoweights: CommandLine) -> None:
    before = sorted(Path().iterdir())
    outcome = evoweights("validate", "small.yaml", "vary.0.every=2", "vary.0.start=1")
    assert outcome.code == 0 and "crossover (every 2, from 1)" in outcome.out
    rows = [line.split()[0] for line in outcome.out.splitlines()[1:]]
    assert rows[-6:] == ["genes", "backend", "memory", "checkpoint", "work", "time"]
    assert "8 steps" in outcome.out
    assert sorted(Path().iterdir()) == before
    assert "genes" not in evoweights("validate", "small.yaml", "--schema-only").out
