"""Whole runs whose individuals are fetched beside the training of others: bit for bit the runs without."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from engine_runs import config_in
from evoweights.errors import PluginError
from evoweights.homes.swaps import SideSwaps
from evoweights.operators import Turn
from evoweights.runs import session
from evoweights.testing import population_digest


class Late:
    """A side stream that copies when somebody waits for it."""

    def __init__(self) -> None:
        self.queue: list[Any] = []

    def follow(self) -> None:
        """Nothing to follow on a CPU."""

    def copy_(self, target: torch.Tensor, source: torch.Tensor) -> None:
        self.queue.append((target, source))

    def event(self) -> "Late":
        return self

    def wait(self) -> None:
        for target, source in self.queue:
            target.copy_(source)
        self.queue = []

    synchronize = wait


def fetch_beside(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let runs fetch individuals beside the training of others; the rows that were fetched."""
    found, fetched = session.found, []

    def beside(*arguments: Any, **settings: Any) -> Any:
        population, mounted = found(*arguments, **settings)
        mounted.swaps = SideSwaps(Late(), mounted.own.weights, mounted.own.slots)
        expect = mounted.swaps.expect
        monkeypatch.setattr(mounted.swaps, "expect", lambda rows, index: fetched.append(index) or expect(rows, index))
        return population, mounted

    monkeypatch.setattr(session, "found", beside)
    return fetched


@pytest.mark.parametrize("state", ["keep", "reset", "copy"])
@pytest.mark.parametrize("turn", ["round_robin", "all"])
def test_a_run_with_swaps_on_the_side_is_the_run_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, turn: str
) -> None:
    changes = {"optimizer_state": state, "turn": {"name": turn}, "evaluate": {"every": 2}}
    session.run(config_in(tmp_path / "plain", changes))
    fetched = fetch_beside(monkeypatch)
    session.run(config_in(tmp_path / "beside", changes))
    plain, other = (population_digest(tmp_path / name / "runs" / "digits") for name in ("plain", "beside"))
    assert plain == other
    assert fetched[:2] == [1, 2]


@pytest.mark.parametrize("outcome", [RuntimeError("cannot look ahead"), Turn((99,))], ids=["raising", "impossible"])
def test_a_turn_that_fails_only_when_it_is_asked_ahead_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: Any
) -> None:
    fetch_beside(monkeypatch)
    asked: list[int] = []

    def choose(self: object, generation: int, size: int, noise: object) -> Turn:
        asked.append(generation)
        if asked[-2:] != [0, 1] or asked.count(0) == 1:  # the whole run is planned once before it begins
            return Turn((generation % size,))
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    rule = dataclasses.make_dataclass("Rule", [], namespace={"name": "moody", "choose": choose})()
    with pytest.raises(PluginError, match=r"turn moody: choose (raised RuntimeError: cannot look ahead|gave .*99)"):
        session.run(dataclasses.replace(config_in(tmp_path), turn=rule))
    assert asked[-2:] == [0, 1]
