"""Whatever part of a component fails, and whenever it does, the command ends with one error that names the component."""

import errno
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
OWNERS = {owner.__name__: owner for owner, _ in PARTS.values()}
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


REPLAYABLE = [
    "run",
    "small.yaml",
    "improve=[{name: es}]",
    "vary=[]",
    "select={name: best}",
    "population={name: individuals, size: 1}",
]


@pytest.mark.parametrize(("code", "ends_with", "said"), [
    (errno.ENOSPC, 7, "error: The export {to} could not be written: so it was wanted. Free space or mend the disk"),
    (errno.EROFS, 7, "error: The export {to} could not be written: so it was wanted. Free space or mend the disk"),
    (errno.ENOENT, 5, "error: FunctionTask: export raised FileNotFoundError: "),
])  # fmt: skip
@pytest.mark.parametrize("command", ["export", "replay"])
def test_an_export_for_which_there_is_no_room_is_no_mistake_of_the_task(
    evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch, command: str, code: int, ends_with: int, said: str
) -> None:
    def full(*given: object) -> None:
        raise OSError(code, "so it was wanted")

    assert evoweights(*REPLAYABLE).code == 0
    monkeypatch.setattr("evoweights.task.Task.export", full)
    outcome = evoweights(command, "runs/small", "--to", "there")
    assert outcome.code == ends_with and outcome.err.startswith(said.format(to=Path("there").absolute())), outcome


def _raises(*given: object) -> Any:
    raise RuntimeError("so it was wanted")


RAISING = property(_raises)
MISSING = object()

# Where a component says something wrong of itself: the owner, the attribute, its value, and what is told of it.
WRONG = {
    "no tokens_per_batch": ("FunctionTask", "tokens_per_batch", MISSING,
        "task function: tokens_per_batch is not set; give the number of evaluations in a batch."),
    "a text for tokens_per_batch": ("FunctionTask", "tokens_per_batch", "8", "task function: tokens_per_batch is '8'; give"),
    "no tokens in a batch": ("FunctionTask", "tokens_per_batch", 0,
        "task function: tokens_per_batch is 0; give the number of evaluations in a batch, a whole number from 1."),
    "tokens_per_batch raises": ("FunctionTask", "tokens_per_batch", RAISING,
        "task function: its attributes raised RuntimeError: so it was wanted"),
    "unit raises": ("FunctionTask", "unit", RAISING, "task function: its attributes raised RuntimeError: so it was wanted"),
    "unit is a number": ("FunctionTask", "unit", 3, "task function: unit is 3; give what a batch is counted in"),
    "compute_dtype raises": ("FunctionTask", "compute_dtype", RAISING, "task function: its attributes raised RuntimeError"),
    "compute_dtype is a text": ("FunctionTask", "compute_dtype", "float32",
        "task function: compute_dtype is 'float32'; give a torch.dtype, or None for that of the weights."),
    "sketches raises": ("FunctionTask", "sketches", RAISING, "task function: its attributes raised RuntimeError"),
    "sketches is a number": ("FunctionTask", "sketches", 2, "task function: sketches is 2; give True or False."),
    "slots are None": ("AdamW", "slots", None, "adamw: slots raised TypeError: 'NoneType' object is not iterable"),
    "slots hold a text": ("AdamW", "slots", ("m",), "adamw: slots raised AttributeError: 'str' object has no attribute"),
    "no scalars": ("Crossover", "scalars", lambda self: None, "operator crossover: kernel and scalars raised TypeError"),
    "no task": ("Function", "open", lambda self, place: None, "task function: open gave None; it must give a Task."),
}  # fmt: skip
WRONG_IN_RUNS = {
    "individual raises": ("Individuals", "individual", RAISING,
        "population individuals: individual raised RuntimeError: so it was wanted"),
    "references are texts": ("FunctionTask", "references", lambda self: {"best": "low"},
        "task function: references raised ValueError"),
    "no references": ("FunctionTask", "references", lambda self: None, "task function: references raised AttributeError"),
    "operations are a text": ("FunctionTask", "evaluation_flops", lambda self, module: "many",
        "FunctionTask: count the operations of an evaluation raised TypeError"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        *((command, each) for command in ("validate", "run") for each in WRONG),
        *(("run", each) for each in WRONG_IN_RUNS),
    ],
)
def test_what_a_component_says_wrongly_of_itself_is_one_error(
    evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch, command: str, wrong: str
) -> None:
    component, name, value, said = (WRONG | WRONG_IN_RUNS)[wrong]
    owner = OWNERS[component]
    if value is MISSING:
        monkeypatch.delattr(owner, name)
    else:
        monkeypatch.setattr(owner, name, value, raising=False)
    outcome = evoweights(command, "small.yaml")
    assert outcome.code == 5 and "Traceback" not in outcome.err
    assert said in outcome.err and outcome.err.count("error: ") == 1, outcome.err


def test_a_model_that_cannot_be_looked_at_is_one_error(
    evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*given: object, **named: object) -> None:
        raise RuntimeError("so it was wanted")

    assert evoweights("run", "small.yaml").code == 0
    monkeypatch.setattr("torch.nn.Module.named_parameters", fails)
    for words, what in (("validate small.yaml", "blueprint for task function"), ("export runs/small", "its model")):
        outcome = evoweights(*words.split())
        assert outcome.code == 5 and "raised RuntimeError: so it was wanted" in outcome.err, outcome.err
        assert outcome.err.startswith(f"error: population individuals: {what} raised")


@pytest.mark.parametrize(
    ("words", "is_run"),
    [("run small.yaml --fresh", True), ("validate small.yaml", False), ("export runs/small", False)],
)
def test_the_log_of_a_run_is_only_spoken_of_where_a_run_goes_on(
    evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch, words: str, is_run: bool
) -> None:
    assert evoweights("run", "small.yaml").code == 0
    monkeypatch.setattr(OWNERS["FunctionTask"], "unit", RAISING)
    outcome = evoweights(*words.split())
    assert outcome.code == 5 and outcome.err.count("in the log.txt of the run") == is_run
