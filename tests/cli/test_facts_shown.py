"""The words beside the figures that commands show, and what they say where something fails."""

import dataclasses
import inspect
import os
import tempfile
from pathlib import Path

import pytest
import torch
from command_line import SMALL, CommandLine

from evoweights.cli.looking import _where_it_goes_on
from evoweights.plugins.listing import PluginStatus
from evoweights.plugins.sources import Plugin
from evoweights.storage.run_dir import RunDirectory
from evoweights_toy.function import FunctionTask


def shown(out: str) -> str:
    """In one line, so that columns do not matter."""
    return " ".join(out.split())


def test_doctor_says_what_is_here_and_why_the_rest_is_not(
    evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    told = shown(evoweights("doctor", "--output", "no/such/folder").out)
    assert f"cores, torch uses {torch.get_num_threads()} threads" in told
    assert "cuda none that torch" in told and "can use (built for CUDA " in told
    assert "backend cuda not usable: torch finds no CUDA device" in told
    assert f"free in {os.getcwd()}" in told and " for a megabyte" in told
    assert "hub Hugging Face: asked only by tasks with hub: true" in told


def test_doctor_says_that_a_disk_cannot_be_written(evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**where: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    outcome = evoweights("doctor")
    assert outcome.code == 0 and f"fsync cannot write in {os.getcwd()}: [Errno 28]" in shown(outcome.out)


def test_validate_says_how_often_what_and_how_long(evoweights: CommandLine) -> None:
    told = shown(evoweights("validate", "small.yaml").out)
    assert "evaluate every generation" in told and "at the peak on cpu" in told
    assert "a step, without evaluation and checkpoints" in told
    assert "evaluate every 2 generations" in shown(evoweights("validate", "small.yaml", "evaluate.every=2").out)


def test_status_says_how_the_last_generation_was_and_who_holds_the_run(evoweights: CommandLine) -> None:
    Path("looker.py").write_text(
        "from evoweights import hookimpl\nfrom evoweights.cli.looking import status\n\n"
        "@hookimpl\ndef checkpoint_saved(info):\n    status(info.folder)\n"
    )
    Path("looked.yaml").write_text(SMALL + "plugins: [./looker.py]\n")
    told = shown(evoweights("run", "looked.yaml").out)
    assert f"held by process {os.getpid()}" in told
    assert "last generation best loss " in shown(evoweights("status", "runs/looked").out)


def test_a_plugin_that_only_observes_and_names_that_clash_are_told() -> None:
    from evoweights.cli.plugins import _what

    plugin = Plugin("mine", "evoweights-mine", "1", False, lambda: None)
    assert _what(PluginStatus(plugin, "ok", "", ())) == "from evoweights-mine; observes runs"
    clash = PluginStatus(plugin, "ok", "", ("turn mine",), ("turn mine is also offered by his (his 2)",))
    assert _what(clash).endswith("turn mine; a run can name only one of two: turn mine is also offered by his (his 2)")


@pytest.mark.parametrize(
    ("code", "what"), [("task.loss", "FunctionTask: a first step"), ("step", "improve adamw: a first step")]
)
def test_what_fails_in_the_estimate_is_named(
    evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch, code: str, what: str
) -> None:
    def fails(*given: object) -> None:
        raise RuntimeError("so it was wanted")

    place = "evoweights.runs.planning.step_bytes" if code == "task.loss" else "evoweights_classic.adamw.AdamW.step"
    monkeypatch.setattr(place, fails)
    outcome = evoweights("validate", "small.yaml")
    assert outcome.code == 5 and f"error: {what} raised RuntimeError: so it was wanted" in outcome.err


def test_a_folder_for_temporary_files_that_cannot_be_written_is_named(
    evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("evoweights.runs.planning.tempfile.TemporaryDirectory", full)
    outcome = evoweights("validate", "small.yaml")
    assert outcome.code == 7 and "error: A temporary folder (TMPDIR) could not be written: No space left" in outcome.err


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc here")
@pytest.mark.parametrize("fresh", [(), ("--fresh",)])
def test_a_place_where_no_run_can_be_made_is_named(evoweights: CommandLine, fresh: tuple[str, ...]) -> None:
    outcome = evoweights("run", "small.yaml", "output=/proc", *fresh)
    assert outcome.code == 7 and outcome.err.startswith("error: The run directory /proc/small could not be written: ")


def test_a_step_that_cannot_be_replayed_is_named(evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*given: object) -> None:
        raise RuntimeError("so it was wanted")

    small = ("population.size=1", "improve=[{name: es, steps: 1, members: 2}]", "vary=[]", "name=es")
    assert evoweights("run", "small.yaml", *small).code == 0
    monkeypatch.setattr("evoweights_es.es.EvolutionStrategy.replay", fails)
    outcome = evoweights("replay", "runs/es")
    assert outcome.code == 5 and "error: improve es: replay step 1 raised RuntimeError" in outcome.err


def test_an_operator_whose_credit_cannot_be_measured_says_how_to_do_without(
    evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = FunctionTask.scores

    def fails(self: FunctionTask, module: torch.nn.Module, batch: torch.Tensor) -> torch.Tensor:
        if any(frame.function == "after" for frame in inspect.stack()):
            raise RuntimeError("so it was wanted")
        return true(self, module, batch)

    monkeypatch.setattr(FunctionTask, "scores", fails)
    outcome = evoweights("run", "small.yaml")
    assert outcome.code == 5
    assert "FunctionTask: score individual 1 to credit operators (`credit: false` does not) raised" in outcome.err
    assert evoweights("run", "small.yaml", "credit=false", "name=without").code == 0


def test_a_run_whose_checkpoint_does_not_say_how_far_it_was_goes_on_from_its_number(evoweights: CommandLine) -> None:
    assert evoweights("run", "small.yaml").code == 0
    status = dataclasses.replace(RunDirectory.read(Path("runs/small")).status(), step=7, reached=None)
    assert _where_it_goes_on(status, 4) == "from checkpoint 7"
