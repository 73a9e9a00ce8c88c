"""Improvers without gradients: they score subsets, keep tensors of their own, report steps, and can be replayed."""

import json
import shutil
import signal

import pytest
import torch
from typer.testing import CliRunner

from engine_runs import StopAt, config_in, observe
from evoweights.cli.app import app
from evoweights.errors import CheckpointError, PluginError, RunStopped, UsageError
from evoweights.runs import session
from evoweights.runs.replay import replay
from evoweights.testing import population_digest

PLUGIN = '''
"""Random steps whose length is the loss of the items."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from evoweights import hookimpl
from evoweights.catalog import setting


@dataclass(frozen=True)
class Wander:
    """Moves by random noise."""

    name: ClassVar[str] = "wander"
    source: ClassVar[str] = "a test"
    needs_gradient: ClassVar[bool] = False
    slots: ClassVar = ()

    steps: int = setting(3, "steps in one turn")

    def step(self, mounted, feed, moment):
        subset = feed.draw(mounted)
        first, again = subset.scores(), subset.scores()
        assert torch.equal(first, again) and first.dtype == torch.float64
        before = mounted.memory.get("wander.losses", torch.zeros(0, dtype=torch.float64))
        mounted.memory["wander.losses"] = torch.cat([before, first.mean()[None]])
        length = float(first.mean()) + float(before.sum())
        moment.report({"length": length, "items": first.tolist()})
        self.replay(mounted, moment, {"length": length})
        return float(first.mean())

    def replay(self, mounted, moment, report):
        for label, part in zip(("own", "shared"), mounted.parts):
            assert not part.takes_gradients
            generator = moment.noise.at(label).generator()
            noise = torch.randn(part.layout.size, generator=generator)
            for segment in part.layout.segments:
                segment.view(part.weights).add_(segment.view(noise), alpha=1e-3 * report["length"])


@hookimpl
def register(catalog):
    catalog.add("improve", Wander)
'''
RUN = {"plugins": ["./wander.py"], "improve": [{"name": "wander"}], "vary": [], "generations": 4}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "wander.py").write_text(PLUGIN)
    return tmp_path


@pytest.mark.parametrize("size", [1, 3])
def test_the_log_alone_gives_the_last_weights_bit_for_bit(folder, size):
    session.run(config_in(folder, RUN, population={"name": "individuals", "size": size}))
    run = folder / "runs" / "digits"
    lines = [json.loads(line) for line in (run / "steps.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 13))
    assert {line["entry"] for line in lines} == {"0-wander"} and {line["generation"] for line in lines} == set(range(4))
    with pytest.raises(CheckpointError, match=r"differs from .* in individuals/0000, memory\.wander"):
        replay(run)  # what the improver keeps for itself is no part of its log


@pytest.fixture
def forgetful(folder):
    (folder / "wander.py").write_text(PLUGIN.replace('mounted.memory["wander.losses"] =', "_ ="))
    return folder


@pytest.mark.parametrize("size", [1, 3])
def test_a_replay_gives_the_weights_bit_for_bit(forgetful, size):
    session.run(config_in(forgetful, RUN, population={"name": "individuals", "size": size}))
    done = replay(forgetful / "runs" / "digits")
    assert done.steps == 12 and done.log_bytes > 0


def test_a_changed_or_missing_line_is_found(forgetful):
    session.run(config_in(forgetful, RUN))
    log = forgetful / "runs" / "digits" / "steps.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join([*lines[:4], *lines[5:]]))
    with pytest.raises(CheckpointError, match=r"steps\.jsonl: step 5 of 12 is missing, so the run cannot be replayed"):
        replay(log.parent)
    record = json.loads(lines[4])
    record["length"] += 1e-3
    log.write_text("".join([*lines[:4], json.dumps(record) + "\n", *lines[5:]]))
    with pytest.raises(CheckpointError, match=r"The replay differs from .*the log or config.yaml was changed"):
        replay(log.parent)


def test_a_run_of_gradient_steps_or_operators_says_that_it_cannot_be_replayed(tmp_path):
    session.run(config_in(tmp_path, generations=1))
    with pytest.raises(UsageError, match=r"cannot be replayed, because the log does not tell what 0-adamw, 0-pso"):
        replay(tmp_path / "runs" / "digits")


def test_a_report_that_is_no_json_is_the_improvers_fault(tmp_path):
    (tmp_path / "wander.py").write_text(PLUGIN.replace('"items": first.tolist()', '"items": first'))
    with pytest.raises(PluginError, match=r"improve 0-wander: report what JSON can hold raised TypeError: .*Tensor"):
        session.run(config_in(tmp_path, RUN))


def test_without_a_checkpoint_there_is_nothing_to_compare_with(forgetful):
    session.run(config_in(forgetful, RUN, generations=1))
    shutil.rmtree(forgetful / "runs" / "digits" / "checkpoints")
    with pytest.raises(UsageError, match=r"nothing to compare a replay with\. Continue the run first"):
        replay(forgetful / "runs" / "digits")


def test_a_run_whose_selection_copied_individuals_says_that_it_cannot_be_replayed(forgetful):
    session.run(config_in(forgetful, RUN, select={"name": "truncation", "share": 0.4}, generations=2))
    with pytest.raises(
        UsageError, match=r"its selection copied individuals, .*Only runs whose selection copies nothing"
    ):
        replay(forgetful / "runs" / "digits")


@pytest.mark.parametrize("step", [1, 4, 5, 11])
@pytest.mark.parametrize("size", [1, 3])
def test_interruptions_change_neither_weights_nor_log(folder, step, size):
    """The first run is stopped after some step and continued; the population, what is kept and the log are the same."""
    ends = []
    for place, observer in ((folder, StopAt(step, signal.SIGTERM)), (folder / "whole", None)):
        place.mkdir(exist_ok=True)
        (place / "wander.py").write_text(PLUGIN)
        config = config_in(place, RUN, population={"name": "individuals", "size": size})
        if observer is not None:
            observe(config, observer)
            with pytest.raises(RunStopped):
                session.run(config)
            config = config_in(place, RUN, population={"name": "individuals", "size": size})
        session.run(config)
        run = place / "runs" / "digits"
        ends.append((population_digest(run), (run / "steps.jsonl").read_text()))
    assert ends[0] == ends[1]


def test_the_command_says_what_it_found(forgetful):
    session.run(config_in(forgetful, RUN))
    result = CliRunner().invoke(app, ["replay", str(forgetful / "runs" / "digits")])
    assert result.exit_code == 0, result.output
    assert "12 steps replayed" in result.output and "Bit for bit the weights of step-" in result.output


def test_a_single_individual_is_mounted_without_a_copy(folder):
    """Its row is the live module's buffer, so the weights exist once; several individuals have rows of their own."""
    from evoweights.founding import found
    from evoweights.seeds import Noise

    for size in (1, 2):
        config = config_in(folder, RUN, population={"name": "individuals", "size": size})
        device = torch.device("cpu")
        task = session.open_task(config, folder, device)
        blueprint = config.population.blueprint(task, Noise(1))
        population, mounted = found(blueprint, improvers=[], operators=[], noise=Noise(1), device=device, folder=folder)
        population.row(0).fill_(3.0)
        assert bool((mounted.own.weights == 3.0).all()) == (size == 1)
