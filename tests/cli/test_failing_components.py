"""Whatever part of a component fails, and whenever it does, the command ends with one error that names the component."""

import inspect
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import SMALL, CommandLine
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from evoweights.config.loading import config_from_text
from evoweights.seeds import Noise
from evoweights.task import TaskPlace

FAILURES: dict[Callable[[], BaseException], int] = {
    lambda: RuntimeError("so it was wanted"): 5,
    lambda: KeyError("so it was wanted"): 5,
    lambda: OSError(28, "so it was wanted"): 5,
    lambda: SystemExit("so it was wanted"): 5,
    lambda: MemoryError("so it was wanted"): 7,
}


def _parts() -> dict[str, tuple[type, str]]:
    """Everything that the components of the small run offer: the class that has it, and its name."""
    config = config_from_text(SMALL, ["name=small"], where="small.yaml", folder=Path())
    task = config.task.open(TaskPlace(Path(), Noise(1), torch.device("cpu")))
    components = (config.task, task, config.population, config.turn, config.select)
    acting = tuple(each.component for each in (*config.improve, *config.vary))
    found = {}
    for each in map(type, (*components, *acting)):
        for name in dir(each):
            part = inspect.getattr_static(each, name)
            if not name.startswith("_") and (isinstance(part, property) or inspect.isfunction(part)):
                owner = next(base for base in each.__mro__ if name in vars(base))
                found[f"{each.__name__}.{name}"] = owner, name
    return found


PARTS = _parts()
PHASES = (Phase.generate,)  # every case is as small as the others


def _failing(part: Any, failure: Callable[[], BaseException], call: int) -> Any:
    """A method or property that fails at its ``call``-th use."""
    count = 0
    true = part.fget if isinstance(part, property) else part

    def used(*given: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        if count == call:
            raise failure()
        return true(*given, **named)

    return property(used) if isinstance(part, property) else used


def check(evoweights: CommandLine, where: str, failure: Callable[[], BaseException], call: int, command: str) -> int:
    shutil.rmtree("runs", ignore_errors=True)
    owner, name = PARTS[where]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, _failing(vars(owner)[name], failure, call))
        outcome = evoweights(command, "small.yaml", "generations=3", "checkpoint.every_generations=3")
    assert outcome.code in (0, FAILURES[failure]) and "Traceback" not in outcome.err
    assert outcome.err.count("error: ") == (outcome.code > 0), outcome.err
    assert ("so it was wanted" in outcome.err) == (outcome.code > 0)
    return outcome.code


@settings(max_examples=20, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
@given(
    st.sampled_from(
        sorted(each for each in PARTS if not each.endswith((".slots", ".kernel")))
    ),  # which say the same always
    st.sampled_from(list(FAILURES)),
    st.integers(2, 6),
)
def test_a_component_that_fails_later_is_one_error(
    evoweights: CommandLine, where: str, failure: Callable[[], BaseException], call: int
) -> None:
    check(evoweights, where, failure, call, "run")


@pytest.mark.parametrize("command", ["run", "validate"])
def test_a_component_that_fails_at_once_is_one_error(evoweights: CommandLine, command: str) -> None:
    failure = next(iter(FAILURES))
    codes = {where: check(evoweights, where, failure, 1, command) for where in PARTS}
    unused = {where.rpartition(".")[2] for where, code in codes.items() if code == 0}
    assert len(codes) > 20
    assert command == "validate" or unused <= {"export", "generate", "repeated", "sample"}, unused


@pytest.mark.parametrize("words", ["export runs/small", "generate runs/small"])
def test_a_task_that_fails_to_export_or_to_generate_is_one_error(
    evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    def fails(*given: object, **named: object) -> None:
        raise RuntimeError("so it was wanted")

    assert evoweights("run", "small.yaml").code == 0
    monkeypatch.setattr("evoweights.task.Task.export", fails)
    monkeypatch.setattr("evoweights.task.Task.generate", fails)
    outcome = evoweights(*words.split())
    said = f"error: FunctionTask: {words.split()[0]} raised RuntimeError: so it was wanted"
    assert outcome.code == 5 and said in outcome.err and "Traceback" not in outcome.err


@pytest.mark.parametrize(("part", "command", "what"), [
    ("Crossover.kernel", "validate", "operator crossover: kernel and scalars"),
    ("Individuals.blueprint", "validate", "population individuals: blueprint for task function"),
    ("FunctionTask.scores", "run", "FunctionTask: count the operations of an evaluation"),
])  # fmt: skip
def test_what_failed_is_named(
    evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch, part: str, command: str, what: str
) -> None:
    owner, name = PARTS[part]
    monkeypatch.setattr(owner, name, _failing(vars(owner)[name], next(iter(FAILURES)), 1))
    assert evoweights(command, "small.yaml").err.startswith(f"error: {what} raised RuntimeError: so it was wanted (")
