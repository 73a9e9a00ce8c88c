"""A run goes on only with the data and the model that it was started with, as far as its task can tell them apart."""

import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engine_runs import config_in
from evoweights.errors import DataError, PluginError, RunStopped
from evoweights.runs import individuals, session
from evoweights.storage.checkpoints import CheckpointStore
from evoweights.task import Task, TaskPlace
from evoweights.testing import population_digest
from evoweights_toy.digits import DigitsTask
from evoweights_toy.settings import Digits

PARTS = {"training data": "aa", "validation data": "bb", "model": "cc"}


class DataTask(DigitsTask):
    """Digits with a fingerprint from outside."""

    def __init__(self, parts: Mapping[str, Any], place: TaskPlace) -> None:
        super().__init__(Digits(hidden=[12], batch=8, train_images=64, validation_images=32), place)
        self.parts = parts

    def fingerprint(self) -> Mapping[str, str]:
        return self.parts


def _run(folder: Path, parts: Mapping[str, Any], *, stop: bool = False) -> None:
    def open_(self: object, place: TaskPlace) -> Task:
        return DataTask(parts, place)

    task = dataclasses.make_dataclass("Data", [], frozen=True, namespace={"open": open_, "name": "data"})()
    config = dataclasses.replace(config_in(folder, checkpoint={"every_generations": 1}), task=task)
    if not stop:
        session.run(config)
        return
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RunStopped):
        patch.setattr("evoweights.engine.Engine._checkpoint_if_due", lambda self: self._stop_here())
        session.run(config)


def test_the_same_parts_continue_to_the_same_end(tmp_path: Path) -> None:
    for name, stops in (("stopped", 2), ("whole", 0)):
        (tmp_path / name).mkdir()
        for _ in range(stops):
            _run(tmp_path / name, PARTS, stop=True)
        _run(tmp_path / name, PARTS)
    digests = {population_digest(tmp_path / name / "runs" / "digits") for name in ("stopped", "whole")}
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"training data": "ab"}, "the training data"),
        ({"model": "x"}, "the model"),
        ({"training data": "ab", "model": "x"}, "the training data and the model"),
        (dict.fromkeys(PARTS, ""), "the training data, the validation data and the model"),
    ],
)
def test_a_part_that_differs_is_named_and_nothing_is_lost(
    tmp_path: Path, changed: Mapping[str, str], named: str
) -> None:
    _run(tmp_path, PARTS, stop=True)
    before = population_digest(tmp_path / "runs" / "digits")
    with pytest.raises(DataError) as raised:
        _run(tmp_path, {**PARTS, **changed})
    message = str(raised.value)
    assert (
        f": {named} of the task now differ" in message
        and "Put back what they were" in message
        and "--fresh" in message
        and "step-" in message
    )
    assert population_digest(tmp_path / "runs" / "digits") == before
    _run(tmp_path, PARTS)


@pytest.mark.parametrize(
    ("then", "now"), [({}, PARTS), (PARTS, {}), ({"model": "cc"}, PARTS), (PARTS, {"model": "cc"})]
)
def test_a_part_that_only_one_side_knows_is_no_difference_and_leaves_a_line_in_the_log(
    tmp_path: Path, then: Mapping[str, str], now: Mapping[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    _run(tmp_path, then, stop=True)
    with caplog.at_level(logging.INFO, logger="evoweights"):
        _run(tmp_path, now)
    assert sum("could not be compared" in line for line in caplog.messages) == 1


def test_a_checkpoint_of_before_there_were_fingerprints_is_continued_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _run(tmp_path, PARTS, stop=True)
    latest = CheckpointStore.latest

    def older(self: CheckpointStore, **options: Any) -> Any:
        found = latest(self, **options)
        assert found is not None
        state = {key: value for key, value in found.state.items() if key != "task"}
        return dataclasses.replace(found, state=state)

    monkeypatch.setattr(CheckpointStore, "latest", older)
    with caplog.at_level(logging.INFO, logger="evoweights"):
        _run(tmp_path, PARTS)
    assert sum("could not be compared" in line for line in caplog.messages) == 1


@pytest.mark.parametrize("parts", [{"data": 7}, {7: "x"}, [("data", "x")], None])
def test_a_fingerprint_that_is_no_mapping_of_texts_is_the_plugins_fault(tmp_path: Path, parts: Any) -> None:
    with pytest.raises(PluginError, match=r"fingerprint gave .*, expected a mapping of names to digests, both texts"):
        _run(tmp_path, parts)


def test_a_task_without_fingerprint_runs_and_continues_silently(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _run(tmp_path, {}, stop=True)
    with caplog.at_level(logging.INFO, logger="evoweights"):
        _run(tmp_path, {})
    assert not any("could not be compared" in line for line in caplog.messages)


def test_opening_an_individual_with_other_parts_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _run(tmp_path, PARTS)
    for parts, expected in ((PARTS, 0), ({**PARTS, "model": "other"}, 1)):
        monkeypatch.setattr(DigitsTask, "fingerprint", lambda self, parts=parts: parts)
        for which in ("best", "0"):
            caplog.clear()
            individuals.open_individual(tmp_path / "runs" / "digits", which)
            assert (
                sum(
                    "the model of the task now differ from those that these weights" in line for line in caplog.messages
                )
                == expected
            )
    assert json.loads((tmp_path / "runs" / "digits" / "best" / "meta.json").read_text())["task"] == PARTS
