"""Stopping and killing a run changes nothing about its end."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_runs import StopAt, config_in, observe
from evoweights.errors import RunStopped
from evoweights.runs import session
from evoweights.testing import population_digest


def _run(folder: Path, observer: object | None = None, **top: object) -> None:
    config = config_in(folder, **top)
    if observer is not None:
        observe(config, observer)
    session.run(config)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("uninterrupted")
    _run(folder)
    return population_digest(folder / "runs" / "digits")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@settings(max_examples=6)
@given(step=st.integers(1, 23))
def test_a_stopped_run_continues_to_the_same_bits(
    tmp_path_factory: pytest.TempPathFactory, uninterrupted: str, number: int, code: int, step: int
) -> None:
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.raises(RunStopped, match="evoweights resume") as stopped:
        _run(folder, StopAt(step, number))
    assert stopped.value.exit_code == code
    _run(folder)
    assert population_digest(folder / "runs" / "digits") == uninterrupted


def test_a_stop_request_loses_no_step(tmp_path: Path) -> None:
    from evoweights.storage.checkpoints import CheckpointStore

    with pytest.raises(RunStopped):
        _run(tmp_path, StopAt(10, signal.SIGTERM))
    checkpoint = CheckpointStore(tmp_path / "runs" / "digits" / "checkpoints").latest()
    assert checkpoint is not None
    assert checkpoint.state["progress"]["step"] == 10


def test_metrics_and_lineage_have_every_generation_once_after_interruptions(tmp_path: Path) -> None:
    for step in (3, 9, 17):
        with pytest.raises(RunStopped):
            _run(tmp_path, StopAt(step, signal.SIGTERM))
    _run(tmp_path)
    run = tmp_path / "runs" / "digits"
    generations = [json.loads(line)["generation"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert generations == list(range(6))
    children = [json.loads(line) for line in (run / "lineage.jsonl").read_text().splitlines()]
    ids = [child["id"] for child in children]
    assert len(ids) == len(set(ids))
    assert all(parent < child["id"] for child in children for parent in child["parents"])


def test_what_is_not_as_it_was_when_a_run_goes_on_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RunStopped):
        _run(tmp_path, StopAt(9, signal.SIGTERM))
    here = session.environment("cpu")
    monkeypatch.setattr(session, "environment", lambda device: here | {"machine": "another"})
    with caplog.at_level("WARNING", logger="evoweights"), pytest.raises(RunStopped):
        _run(tmp_path, StopAt(17, signal.SIGTERM))
    said = (
        f"the run continues in another environment, so its bits may differ: machine was {here['machine']}, is another"
    )
    assert [each.getMessage() for each in caplog.records if each.levelname == "WARNING"] == [said]
    caplog.clear()
    run = tmp_path / "runs" / "digits"
    shutil.rmtree(run / "checkpoints")
    with caplog.at_level("WARNING", logger="evoweights"):
        _run(tmp_path)
    found = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert found == [f"{run} has no checkpoint: it starts again from generation 0"]


def test_kill_9_at_random_moments_loses_nothing(tmp_path: Path) -> None:
    """A process that has started no thread forks the runs and kills them, so that none waits for torch's import."""
    script = Path(__file__).parent / "kill_campaign.py"
    single = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    variables = os.environ | single | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(script), str(tmp_path)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["kills"] >= 10
    assert set(report["digests"]) == {report["uninterrupted"]}
    assert report["leftovers"] == []
