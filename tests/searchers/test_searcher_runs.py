"""Searchers in whole runs: stopped and continued, replayed, beside gradient steps, and planned."""

import dataclasses
import hashlib
import json
import os
import signal

import pytest
from omegaconf import OmegaConf

from evoweights.config.loading import config_from_text
from evoweights.errors import RunStopped
from evoweights.hookspecs import hookimpl
from evoweights.plugins.loading import register_hooks
from evoweights.runs import session
from evoweights.runs.replay import replay
from evoweights.storage.checkpoints import CheckpointStore

IMPROVERS = {
    "snes in a subspace": {"name": "snes", "optimizer": "clipup", "space": {"name": "subspace", "size": 6}},
    "cmaes of a lora": {"name": "cmaes", "space": "lora", "separable": True, "popsize": 5},
    "cosyne": {"name": "cosyne", "popsize": 4},
}


def config_in(folder, improve, **top):
    """A digits run in ``folder``/runs."""
    values = {
        "name": "searched",
        "generations": 3,
        "seed": 7,
        "task": {"name": "digits", "hidden": [6], "batch": 8, "train_images": 64, "validation_images": 32},
        "population": {"name": "individuals", "size": 2},
        "turn": {"name": "round_robin"},
        "improve": [{"steps": 3, **each} for each in improve],
        "observers": [],
    }
    config = config_from_text(OmegaConf.to_yaml(OmegaConf.create(values | top)), where="test", folder=folder)
    return dataclasses.replace(config, output=folder / "runs")


class StopAt:
    """Sends this process SIGTERM after a step."""

    def __init__(self, step):
        self.step = step

    @hookimpl
    def step_finished(self, step):
        if step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)


def stopped_at(step, config):
    """Run until a step, and no further."""
    manager = config.plugins.manager
    register_hooks(manager, StopAt(step), name="test")
    object.__setattr__(config, "hooks", type(config.hooks)(manager))
    with pytest.raises(RunStopped):
        session.run(config)


def left(run):
    """Digest of all tensors of the last checkpoint, and the log of steps."""
    checkpoint = CheckpointStore(run / "checkpoints").latest()
    digest = hashlib.sha256()
    for name in sorted(checkpoint.names):
        for key, tensor in sorted(checkpoint.tensors(name).items()):
            digest.update(f"{name}/{key}/{tensor.dtype}/{tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().flatten().numpy().tobytes())
    return digest.hexdigest(), (run / "steps.jsonl").read_text()


@pytest.mark.parametrize("name", IMPROVERS)
def test_a_stopped_run_continues_to_the_same_bits_and_its_log_gives_them_again(name, tmp_path):
    improve = [IMPROVERS[name]]
    session.run(config_in(tmp_path / "whole", improve))
    stopped_at(2, config_in(tmp_path / "stopped", improve))
    stopped_at(5, config_in(tmp_path / "stopped", improve))
    session.run(config_in(tmp_path / "stopped", improve))
    runs = [tmp_path / each / "runs" / "searched" for each in ("whole", "stopped")]
    assert left(runs[0]) == left(runs[1])
    assert replay(runs[0]).steps == 9


def test_a_searcher_among_gradient_steps_starts_again_after_each_of_their_turns(tmp_path):
    improve = [{"name": "adamw", "every": 2}, IMPROVERS["snes in a subspace"]]
    session.run(config_in(tmp_path, improve, population={"name": "individuals", "size": 1}))
    lines = [json.loads(line) for line in (tmp_path / "runs" / "searched" / "steps.jsonl").read_text().splitlines()]
    assert [line["restarted"] for line in lines] == [False, False, False, False, False, False, True, False, False]
