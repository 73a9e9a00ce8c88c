"""A request to stop is honoured within an evaluation, and the run continues to the same end."""

import dataclasses
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from engine_runs import config_in
from evoweights.errors import RunStopped
from evoweights.runs import session
from evoweights.task import Task, TaskPlace
from evoweights.testing import population_digest
from evoweights_toy.digits import DigitsTask
from evoweights_toy.settings import Digits

PIECES = 4


@dataclasses.dataclass
class Watch:
    """Counts the pieces of all evaluations; sends this process a signal before piece ``at`` is begun (0: never)."""

    at: int = 0
    number: int = signal.SIGTERM
    count: int = 0
    in_training_mode: list[bool] = dataclasses.field(default_factory=list)

    def begin(self, module: nn.Module) -> None:
        self.count += 1
        self.in_training_mode.append(module.training)
        if self.count == self.at:
            os.kill(os.getpid(), self.number)


class PiecewiseTask(DigitsTask):
    """Evaluates in pieces; asks for a signal in the middle if told to."""

    def __init__(self, watch: Watch, place: TaskPlace) -> None:
        super().__init__(Digits(hidden=[12], batch=8, train_images=64, validation_images=32, batch_norm=True), place)
        self.watch = watch

    @torch.no_grad()
    def evaluate(self, module: nn.Module) -> float:
        images, labels = self.validation
        module.eval()
        losses = []
        for piece, wanted in zip(images.chunk(PIECES), labels.chunk(PIECES), strict=True):
            self.watch.begin(module)
            try:
                losses.append(nn.functional.cross_entropy(module(piece), wanted).item())
            except Exception:  # noqa: BLE001 - a plugin that hides what it does not know must not hide a request to stop
                losses.append(9.0)
        module.train()
        return sum(losses) / PIECES


def _run(folder: Path, watch: Watch, **top: Any) -> None:
    def open_(self: object, place: TaskPlace) -> Task:
        return PiecewiseTask(watch, place)

    space = {"open": open_, "name": "piecewise", "source": "test"}
    task = dataclasses.make_dataclass("Piecewise", [], frozen=True, namespace=space)()
    session.run(dataclasses.replace(config_in(folder, **top), task=task))


def _records(folder: Path) -> list[Any]:
    """Everything recorded but times, and what else is spent again for what had to be done twice."""
    spent = ("seconds", "bytes_moved", "peak_memory_bytes", "joules")

    def timeless(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: timeless(each) for key, each in value.items() if key not in spent}
        return [timeless(each) for each in value] if isinstance(value, list) else value

    run = folder / "runs" / "digits"
    lines = [*(run / "metrics.jsonl").read_text().splitlines(), *(run / "lineage.jsonl").read_text().splitlines()]
    return [timeless(json.loads(line)) for line in lines]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str, list[Any]]:
    folder, watch = tmp_path_factory.mktemp("uninterrupted"), Watch()
    _run(folder, watch, select={"name": "tournament"})
    return watch.count, population_digest(folder / "runs" / "digits"), _records(folder)


def test_there_is_an_evaluation_at_the_start_and_in_every_generation(uninterrupted: tuple[int, str, Any]) -> None:
    assert uninterrupted[0] >= PIECES * (3 + 6)


@settings(max_examples=6)
@given(data=st.data(), number=st.sampled_from([signal.SIGTERM, signal.SIGINT]))
def test_a_run_stopped_within_an_evaluation_continues_to_the_same_end(
    tmp_path_factory: pytest.TempPathFactory,
    uninterrupted: tuple[int, str, list[Any]],
    data: st.DataObject,
    number: int,
) -> None:
    folder, (pieces, digest, records) = tmp_path_factory.mktemp("stopped"), uninterrupted
    for _ in range(2):
        watch = Watch(at=data.draw(st.integers(1, pieces // 2)), number=number)
        with pytest.raises(RunStopped, match="a checkpoint is written") as stopped:
            _run(folder, watch, select={"name": "tournament"})
        assert stopped.value.exit_code == 128 + number
        assert watch.count == watch.at
    _run(folder, Watch(), select={"name": "tournament"})
    assert population_digest(folder / "runs" / "digits") == digest
    assert _records(folder) == records


def test_what_was_measured_before_the_stop_is_not_measured_again(
    tmp_path: Path, uninterrupted: tuple[int, str, Any]
) -> None:
    first, second = Watch(at=2 * PIECES + 1), Watch()
    with pytest.raises(RunStopped):
        _run(tmp_path, first, select={"name": "tournament"})
    _run(tmp_path, second, select={"name": "tournament"})
    assert 2 * PIECES + second.count == uninterrupted[0]


def test_a_stop_in_the_last_evaluation_leaves_a_run_that_only_has_to_be_finished(
    tmp_path: Path, uninterrupted: tuple[int, str, Any]
) -> None:
    with pytest.raises(RunStopped):
        _run(tmp_path, Watch(at=uninterrupted[0]), select={"name": "tournament"})
    second = Watch()
    _run(tmp_path, second, select={"name": "tournament"})
    assert second.count == PIECES
    assert population_digest(tmp_path / "runs" / "digits") == uninterrupted[1]
