"""Records that say something else than they must are one error that names the file, or make no difference; never a traceback."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([10**400, -(10**400), {"improve": 10**400}]),
    st.floats(),
    st.sampled_from(["", "nan", "inf", "-inf", "x"]),
    st.sampled_from([[], {}, [1], {"a": "b"}, [[1, 2, 3]], [None], {"improve": "x"}]),
)
METRICS = Path("runs/damaged/metrics.jsonl")


@pytest.fixture
def lines(evoweights: CommandLine) -> list[dict[str, Any]]:
    """The metrics of a run that another can be compared with."""
    for seed in (1, 2):
        assert evoweights("run", "small.yaml", f"name=run{seed}", f"seed={seed}").code == 0
    shutil.copytree("runs/run1", "runs/damaged")
    return [json.loads(line) for line in METRICS.read_text().splitlines()]


@settings(
    max_examples=40, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.generate,)
)
@given(data=st.data())
def test_whatever_a_record_holds_no_command_ends_with_a_traceback(
    evoweights: CommandLine, lines: list[dict[str, Any]], data: st.DataObject
) -> None:
    changed = [dict(each) for each in lines]
    for _ in range(data.draw(st.integers(1, 2))):
        record = changed[data.draw(st.integers(0, len(lines) - 1))]
        record[data.draw(st.sampled_from(sorted(lines[0])))] = data.draw(VALUES)
    METRICS.write_text("".join(f"{json.dumps(each)}\n" for each in changed))
    command = data.draw(st.sampled_from(["status", "report", "compare"]))
    if data.draw(st.booleans()):
        Path("runs/damaged/DONE").unlink(missing_ok=True)
    else:
        Path("runs/damaged/DONE").write_text("as it was")
    outcome = evoweights(command, "runs/damaged", *(["runs/run2"] if command == "compare" else []))
    assert outcome.code in (0, 2, 4) and outcome.err.count("error: ") == (outcome.code > 0), outcome
    assert outcome.code == 0 or "damaged" in outcome.err


@pytest.mark.parametrize(("key", "value", "says"), [
    ("generation", "x", "its generation is 'x'"),
    ("generation", float("inf"), "its generation is inf"),
    ("best_fitness", {"a": 1}, "its best_fitness is {'a': 1}"),
    ("best_fitness", 10**400, "a number in it is too large"),
    ("seconds", 5, "its seconds are 5"),
    ("seconds", {"improve": 10**400}, "a number in it is too large"),
    ("seconds", {"improve": [7] * 40}, "its seconds are {'improve': [7, 7, 7, 7, 7, 7, 7, 7, 7, ..."),
    ("ledger", {"tokens": "many"}, "its ledger is {'tokens': 'many'}"),
])  # fmt: skip
def test_a_record_that_cannot_be_is_named(
    evoweights: CommandLine, lines: list[dict[str, Any]], key: str, value: Any, says: str
) -> None:
    METRICS.write_text("".join(f"{json.dumps(each)}\n" for each in [*lines[:-1], {**lines[-1], key: value}]))
    for _ in range(2):  # of a finished run, then of one that is not
        for command, number in (("status", "its last line"), ("report", "line 4"), ("compare", "line 4")):
            outcome = evoweights(command, "runs/damaged", *(["runs/run2"] if command == "compare" else []))
            assert outcome.code == (0 if command == "status" else 4)
            told = f"metrics.jsonl: {number} is no record of a generation ({says})"
            assert told in " ".join((outcome.out + outcome.err).split())
        Path("runs/damaged/DONE").unlink(missing_ok=True)


def test_a_start_that_cannot_be_is_one_error_of_a_comparison(
    evoweights: CommandLine, lines: list[dict[str, Any]]
) -> None:
    METRICS.write_text("".join(f"{json.dumps(each)}\n" for each in [{**lines[0], "start_fitness": 5}, *lines[1:]]))
    outcome = evoweights("compare", "runs/damaged", "runs/run2")
    assert outcome.code == 4 and "metrics.jsonl: a line is no record of a generation (TypeError: " in outcome.err


@pytest.mark.parametrize(("command", "says"), [
    ("report", "metrics.jsonl: no generation is recorded, though the run is finished. Put back an intact copy."),
    ("compare", "so there is nothing to compare. The run is finished; put back an intact copy"),
])  # fmt: skip
def test_a_finished_run_without_records_is_not_told_to_go_on(
    evoweights: CommandLine, lines: list[dict[str, Any]], command: str, says: str
) -> None:
    METRICS.write_text("")
    outcome = evoweights(command, "runs/damaged", "runs/run2")
    assert outcome.code == 4 and says in outcome.err and "resume" not in outcome.err


@pytest.mark.parametrize("command", ["status", "report", "compare"])
def test_a_configuration_of_something_else_is_no_run(
    evoweights: CommandLine, lines: list[dict[str, Any]], command: str
) -> None:
    Path("runs/damaged/config.yaml").write_text("a: b\n")
    outcome = evoweights(command, "runs/damaged", *(["runs/run2"] if command == "compare" else []))
    assert outcome.code == 2 and "is no configuration of a run: it has no `generations`. Put back" in outcome.err


def test_a_folder_of_runs_is_told_from_a_run(evoweights: CommandLine, lines: list[dict[str, Any]]) -> None:
    outcome = evoweights("status", "runs")
    assert (outcome.code, outcome.err) == (
        2,
        "error: runs is no run, but a folder of runs: damaged, run1, run2. Give one of them.\n",
    )
    for number in range(3, 14):
        shutil.copytree("runs/run1", f"runs/run{number}")
    assert " and 4 more. Give one of them." in evoweights("resume", "runs").err
    far = evoweights("status", "runs/run").err
    assert "Did you mean 'run" in far and far.count("run") < 20 and far.endswith(" and 4 more.\n")
    Path("proj/configs").mkdir(parents=True)
    Path("proj/configs/config.yaml").write_text("anything")
    assert "has no config.yaml. Give the folder of a run" in evoweights("status", "proj").err
    Path("proj/configs/metrics.jsonl").touch()
    assert "proj is no run, but a folder of runs: configs. Give one of them." in evoweights("status", "proj").err
    assert evoweights("status", ".").err == (
        "error: . is no run: it has no config.yaml. Give the folder of a run, such as runs/NAME.\n"
    )


def test_an_ablation_without_controls_is_refused_before_anything_runs(evoweights: CommandLine) -> None:
    outcome = evoweights("ablate", "small.yaml", "vary=[]", "--seeds", "1")
    assert outcome.code == 2 and "ablate: no control says anything about small, so it would be compared" in outcome.err
    assert not Path("runs").exists()


def test_a_seed_that_torch_cannot_take_is_refused(evoweights: CommandLine) -> None:
    outcome = evoweights("generate", "runs/none", "--seed", str(2**64))
    assert outcome.code == 2 and "Invalid value for '--seed'" in outcome.err
