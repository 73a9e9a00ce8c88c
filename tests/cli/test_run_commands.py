import json
import os
import re
import shlex
import shutil
from pathlib import Path

import pytest
from command_line import SMALL, CommandLine

from evoweights.runs import session
from evoweights.testing.faults import flip_bit

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
    assert again.code == 0 and not again.err.startswith("error")
    assert "is finished: best: individual" in again.err and "Its best individual is in runs/small/best" in again.err
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


def test_status_says_where_a_killed_run_goes_on(evoweights: CommandLine, stopped: Path) -> None:
    def shown() -> tuple[str, str, object]:
        rows = dict(line.strip().split("  ", 1) for line in evoweights("status", stopped).out.splitlines())
        told = {name: text.strip() for name, text in rows.items()}
        facts = json.loads(evoweights("status", stopped, "--json").out)
        return told["generations"], told["goes on"], facts["goes_on"]

    at = {"generation": 2, "step": 4, "done_again": 0}
    assert shown() == ("2 of 4 done, 4 steps", "in generation 2 (3/4), after 4 steps", at)
    # What a process that was killed leaves: records that are newer than its last checkpoint.
    shutil.rmtree(max((stopped / "checkpoints").glob("step-*")))
    at = {"generation": 1, "step": 2, "done_again": 1}
    assert shown() == ("2 of 4 done, 4 steps", "in generation 1 (2/4), after 2 steps; 1 generation done again", at)
    shutil.rmtree(stopped / "checkpoints")
    at = {"generation": 0, "step": 0, "done_again": 2}
    assert shown()[1:] == ("at the start: generation 0 (1/4); 2 generations done again", at)
    assert evoweights("resume", stopped).code == 0
    assert "goes on" not in evoweights("status", stopped).out
    assert json.loads(evoweights("status", stopped, "--json").out)["goes_on"] is None
    (stopped / "DONE").unlink()
    at = {"generation": None, "step": 8, "done_again": 0}
    assert shown()[1:] == ("after the last generation, after 8 steps", at)


def test_where_a_run_goes_on_is_what_it_then_does(evoweights: CommandLine, stopped: Path) -> None:
    shutil.rmtree(max((stopped / "checkpoints").glob("step-*")))
    at = json.loads(evoweights("status", stopped, "--json").out)["goes_on"]
    assert evoweights("resume", stopped).code == 0
    started = [line for line in (stopped / "log.txt").read_text().splitlines() if "started at generation" in line]
    assert len(started) == 2 and started[-1].endswith(f"started at generation {at['generation']}") and at["step"] == 2


def test_verify_names_what_is_damaged(evoweights: CommandLine) -> None:
    evoweights("run", "small.yaml")
    intact = evoweights("verify", "runs/small")
    assert intact.code == 0 and intact.out.count("intact") == 3
    file = max(Path("runs/small/checkpoints").glob("step-*/individuals/0001.safetensors"))
    flip_bit(file, -8)
    outcome = evoweights("verify", "runs/small")
    assert outcome.code == 4 and outcome.out.count("DAMAGED") >= 1
    assert outcome.err.startswith("error: runs/small:") and file.parents[1].name in outcome.err
    assert "Put back intact copies; `evoweights status` says whether" in outcome.err
    assert file.name in outcome.out


@pytest.mark.parametrize("command", ["status", "verify", "resume", "export", "generate"])
def test_folder_that_is_no_run_is_refused(command: str, evoweights: CommandLine) -> None:
    evoweights("run", "small.yaml")
    outcome = evoweights(command, "runs/smal")
    assert outcome.code == 2 and "is no run" in outcome.err and "'small'" in outcome.err


@pytest.mark.parametrize("command", ["status", "report", "verify"])
def test_a_configuration_of_something_else_is_no_runs(command: str, evoweights: CommandLine) -> None:
    evoweights("run", "small.yaml")
    Path("runs/small/config.yaml").write_text("model_type: other\n")
    outcome = evoweights(command, "runs/small")
    assert outcome.code == 2 and "runs/small/config.yaml is no configuration of a run: it has no `gener" in outcome.err


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
    assert re.search(r"work +no training steps\n", evoweights("validate", "small.yaml", "improve=[]").out)


@pytest.mark.parametrize("below", ["", "/below"])
def test_an_output_that_is_a_file_is_a_usage_error_and_the_file_stays(evoweights: CommandLine, below: str) -> None:
    Path("thesis.tex").write_text("years of work")
    for command in (["run", "small.yaml"], ["run", "small.yaml", "--fresh"], ["validate", "small.yaml"]):
        outcome = evoweights(*command, f"output=thesis.tex{below}")
        assert outcome.code == 2 and "output:" in outcome.err and "thesis.tex is no folder" in outcome.err
    assert Path("thesis.tex").read_text() == "years of work"


def test_a_run_whose_folder_was_given_a_name_with_a_space_is_a_run_like_any_other(
    evoweights: CommandLine, stopped: Path
) -> None:
    moved = stopped.rename("runs/my best run")
    shown = evoweights("status", moved)
    assert shown.code == 0
    (line,) = [line for line in shown.out.splitlines() if "to continue" in line]
    command = shlex.split(line.partition("to continue")[2])
    assert command == ["evoweights", "resume", "runs/my best run"]
    assert evoweights(*command[1:]).code == 0
    assert evoweights("verify", moved).code == 0
    evoweights("run", "small.yaml")
    assert best(moved) == best(Path("runs/small"))
    assert sorted(each.name for each in Path("runs").iterdir()) == ["my best run", "small"]
    refused = evoweights("run", "small.yaml", "name=my best run")
    assert refused.code == 2 and "name" in refused.err


# A task whose data is named by a relative path and read when the task is opened and again when its model is built.
READER = """
from dataclasses import dataclass
from pathlib import Path
from evoweights import hookimpl
from evoweights.catalog import setting
from evoweights_toy.function import FunctionTask
from evoweights_toy.settings import Function

class Reading(FunctionTask):
    def build(self):
        assert Path(self.settings.data).read_text() == "data"
        return super().build()

@dataclass(frozen=True)
class Reader(Function):
    "Reads a file."
    name = "reader"
    data: str = setting("data/text.txt", "a file")
    def open(self, place):
        Path(self.data).read_text()
        return Reading(self, place)

@hookimpl
def register(catalog):
    catalog.add("task", Reader)
"""


def test_what_a_run_names_by_relative_paths_is_found_from_anywhere(
    evoweights: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("reader.py", READER), ("stopper.py", STOPPER), ("data/text.txt", "data")):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
    Path("reading.yaml").write_text(
        SMALL.replace("name: function", "name: reader") + "plugins: [./reader.py, ./stopper.py]\n"
    )
    monkeypatch.setenv("STOP_AT", "2")
    assert evoweights("run", "reading.yaml").code == 130
    monkeypatch.delenv("STOP_AT")
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert evoweights("resume", "../runs/reading").code == 0
    assert "has no export format" in evoweights("export", "../runs/reading").err
    assert Path.cwd() == tmp_path / "elsewhere" and list(Path().iterdir()) == []
    # Where it was started is not there any more: that is said, and paths are relative to where the command is given.
    file = tmp_path / "runs" / "reading" / "environment.json"
    file.write_text(file.read_text().replace(json.dumps(str(tmp_path)), json.dumps(str(tmp_path / "gone"))))
    monkeypatch.chdir(tmp_path)
    moved = evoweights("export", "runs/reading")
    assert "has no export format" in moved.err and "gone, which is not here; relative paths are taken from" in moved.err


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_final_table_the_status_and_the_last_line_of_the_run_name_the_same_best(
    evoweights: CommandLine, seed: int
) -> None:
    # Strong mutation, so that the best of the run is not among the last.
    wild = SMALL.replace("observers: []", "observers: [{name: console}]").replace(
        "{name: crossover, rate: 0.5,", "{name: mutation, rate: 1.0,"
    )
    Path("wild.yaml").write_text(wild)
    ran = evoweights("run", "wild.yaml", f"seed={seed}")
    found = re.search(r"best of the run: individual (\d), validation loss (\S+), (.*) \(lower is better\)", ran.out)
    assert found is not None and f"*{found[1]}" in ran.out
    status = evoweights("status", "runs/wild")
    (line,) = [line for line in status.out.splitlines() if "best of the run" in line]
    assert f"(individual {found[1]}, {found[3]}, as saved in best/; lower is better)" in line
    facts = json.loads(evoweights("status", "runs/wild", "--json").out)
    assert facts["best"]["row"] == int(found[1])
    for loss in (facts["best"]["fitness"], float(line.split("loss")[1].split()[0])):
        assert loss == pytest.approx(float(found[2]), rel=1e-4)
    assert facts["note"].startswith(f"best: individual {found[1]}, loss ")
    assert "expert" not in ran.out + status.out and "token" not in ran.out + status.out
    os.truncate("runs/wild/best/meta.json", 1)
    damaged = evoweights("status", "runs/wild")
    assert damaged.code == 0 and "best: meta.json has 1 bytes" in damaged.out and "best of the run" not in damaged.out
