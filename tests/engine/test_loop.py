"""The generation loop: who acts when, what is recorded, and what a non-finite loss does."""

import dataclasses
import json
import logging
import math
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine_runs import config_in
from evoweights.contract import calling
from evoweights.errors import DivergedError, PluginError, ResourceError, UsageError
from evoweights.operators import Turn
from evoweights.records import RunResult
from evoweights.runs import individuals, session
from evoweights.storage.checkpoints import CheckpointStore
from evoweights.task import Task, TaskPlace
from evoweights.testing import population_digest


class ScriptedTask(Task):
    """A two-weight model whose training loss is NaN in the batches, and whose fitness is NaN for the rows, it is told."""

    tokens_per_batch = 1

    def __init__(self, nan_batches: range, is_bad: Any) -> None:
        self.nan_batches, self.is_bad = nan_batches, is_bad

    def build(self) -> nn.Module:
        return nn.Linear(2, 2)

    def batch(self, index: int) -> float:
        return math.nan if index in self.nan_batches else 1.0

    def loss(self, module: nn.Module, batch: float) -> Tensor:
        return module.weight.square().sum() * batch

    def evaluate(self, module: nn.Module) -> float:
        value = float(module.weight.detach().square().sum())
        return math.nan if self.is_bad(value) else value


@dataclasses.dataclass(frozen=True)
class Scripted:
    nan_batches: range = range(0)
    is_bad: Any = staticmethod(lambda value: False)
    name = "scripted"
    source = "test"

    def open(self, place: TaskPlace) -> Task:
        return ScriptedTask(self.nan_batches, self.is_bad)


def _settings_of(task: Task) -> Any:
    """Settings that open ``task``."""
    opening = {"open": lambda self, place: task}
    return dataclasses.make_dataclass("Settings", [], bases=(Scripted,), frozen=True, namespace=opening)()


def _metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "runs" / "digits" / "metrics.jsonl").read_text().splitlines()]


def _run(folder: Path, task: Scripted | None = None, **top: Any) -> RunResult:
    config = config_in(folder, **top)
    return session.run(config if task is None else dataclasses.replace(config, task=task))


def test_round_robin_trains_one_after_the_other_and_operators_write_the_others(tmp_path: Path) -> None:
    _run(tmp_path)
    lines = _metrics(tmp_path)
    assert [[turn["row"] for turn in line["improved"]] for line in lines] == [[0], [1], [2], [0], [1], [2]]
    assert lines[-1]["step"] == 24
    assert [(each["row"], each["sources"], each["operators"]) for each in lines[4]["varied"]] == [
        (0, [1], ["0-pso", "1-crossover", "2-mutation"]),
        (2, [1], ["0-pso", "1-crossover", "2-mutation"]),
    ]
    assert [each["operators"] for each in lines[0]["varied"]] == [["2-mutation"], ["2-mutation"]]


def test_the_result_is_the_best_ever_measured_and_best_holds_it(tmp_path: Path) -> None:
    result = _run(tmp_path)
    measured = [value for line in _metrics(tmp_path) for value in line["fitness"]]
    starts = [each.start for each in result.table]
    assert result.best_fitness == min(measured + starts)
    opened = individuals.open_individual(tmp_path / "runs" / "digits")
    assert opened.task.evaluate(opened.module) == result.best_fitness


@pytest.mark.parametrize("row", [0, 1, 2])
def test_any_individual_of_a_run_can_be_opened_again(tmp_path: Path, row: int) -> None:
    result = _run(tmp_path)
    opened = individuals.open_individual(tmp_path / "runs" / "digits", str(row))
    assert opened.task.evaluate(opened.module) == result.table[row].end


def test_opening_a_row_that_is_not_there_says_which_are(tmp_path: Path) -> None:
    _run(tmp_path)
    with pytest.raises(UsageError, match=r"--expert: found '3', allowed are best and 0 to 2"):
        individuals.open_individual(tmp_path / "runs" / "digits", "3")


def test_before_the_first_checkpoint_there_is_no_individual_to_open(tmp_path: Path) -> None:
    _run(tmp_path)
    shutil.rmtree(tmp_path / "runs" / "digits" / "checkpoints")
    with pytest.raises(
        UsageError, match=r"no checkpoint is saved yet, so there is no individual 1\. Continue the run first"
    ):
        individuals.open_individual(tmp_path / "runs" / "digits", "1")


def test_the_three_homes_give_the_same_bits(tmp_path: Path) -> None:
    digests = set()
    for home in ("device", "host", "disk"):
        (tmp_path / home).mkdir()
        _run(tmp_path / home, population={"name": "individuals", "size": 3, "home": home})
        digests.add(population_digest(tmp_path / home / "runs" / "digits"))
    assert len(digests) == 1


def test_batch_norm_buffers_live_with_their_individual(tmp_path: Path) -> None:
    task = {
        "name": "digits",
        "hidden": [12],
        "batch": 8,
        "train_images": 64,
        "validation_images": 32,
        "batch_norm": True,
    }
    result = _run(tmp_path, task=None, changes={"task": task})
    opened = individuals.open_individual(tmp_path / "runs" / "digits")
    assert opened.task.evaluate(opened.module) == result.best_fitness


def test_a_nan_loss_stops_the_turn_before_the_weights_and_the_run_goes_on(tmp_path: Path) -> None:
    result = _run(tmp_path, Scripted(nan_batches=range(2, 3)), vary=[])
    first, second = _metrics(tmp_path)[:2]
    assert first["improved"][0]["steps"] == 2
    assert first["improved"][0]["stopped"] == "the loss is nan"
    assert second["improved"][0]["stopped"] is None
    assert math.isfinite(result.best_fitness)
    assert all(math.isfinite(each.end) for each in result.table)


def test_a_refused_step_leaves_running_statistics_as_they_were(tmp_path: Path) -> None:
    """Batch norm has seen the bad batch by the time its loss is known."""

    class Normed(ScriptedTask):
        def build(self) -> nn.Module:
            return nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))

        def loss(self, module: nn.Module, batch: float) -> Tensor:
            return module(torch.full((4, 2), batch)).square().sum()

        def evaluate(self, module: nn.Module) -> float:
            return float(module[1].running_mean.abs().sum())

    task = _settings_of(Normed(range(3, 99), lambda value: False))
    config = config_in(tmp_path, vary=[], generations=2, population={"name": "individuals", "size": 1})
    result = session.run(dataclasses.replace(config, task=task))
    assert [line["improved"][0]["steps"] for line in _metrics(tmp_path)][:2] == [3, 0]
    assert math.isfinite(result.table[0].end)


def test_a_task_that_drops_the_gradients_is_told_so(tmp_path: Path) -> None:
    """zero_grad() would detach them from the genome, and training would silently do nothing."""

    class Dropping(ScriptedTask):
        def loss(self, module: nn.Module, batch: float) -> Tensor:
            module.zero_grad()
            return super().loss(module, batch)

    task = _settings_of(Dropping(range(0), lambda value: False))
    with pytest.raises(
        UsageError, match=r"gradient of 'weight' has left its genome, .* A task must not call zero_grad"
    ):
        session.run(dataclasses.replace(config_in(tmp_path), task=task))


def test_a_scope_that_holds_nothing_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"operator mutation: scope 'embeddings' holds no gene that an individual owns"
    ):
        _run(tmp_path, vary=[{"name": "mutation", "scope": "embeddings"}])


def test_three_stopped_turns_in_a_row_fail_an_individual_and_no_healthy_one_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="no healthy individual is left") as caught:
        _run(tmp_path, Scripted(nan_batches=range(10_000)), vary=[], generations=20)
    assert caught.value.exit_code == 6
    assert [line["failed"] for line in _metrics(tmp_path)] == [[]] * 6 + [[0], [0, 1]]
    assert (tmp_path / "runs" / "digits" / "FAILED").exists()


def test_a_nan_fitness_never_wins_leads_or_trains(tmp_path: Path) -> None:
    """The individual whose weights are smallest is declared broken; it would otherwise be best."""
    config = config_in(tmp_path, vary=[{"name": "mix", "direction": "best_to_others", "scope": "vectors"}])
    sizes = sorted(_start_sizes(tmp_path))
    bad = Scripted(is_bad=lambda value: value < (sizes[0] + sizes[1]) / 2)
    result = session.run(dataclasses.replace(config, task=bad, generations=1, improve=()))
    failed = _metrics(tmp_path)[0]["failed"]
    assert len(failed) == 1
    assert result.best_row not in failed


def test_a_run_that_never_had_a_finite_loss_is_advised_to_look_at_what_gives_it(tmp_path: Path) -> None:
    """No learning rate is to blame before the first step."""
    with pytest.raises(DivergedError, match="look at the data, or at what gives the loss or reward, first") as caught:
        _run(tmp_path, Scripted(is_bad=lambda value: True))
    assert "learning rate" not in str(caught.value)


def _start_sizes(folder: Path) -> list[float]:
    (folder / "probe").mkdir()
    probe = config_in(folder / "probe", vary=[], improve=[], generations=1)
    result = session.run(dataclasses.replace(probe, task=Scripted()))
    return [each.start for each in result.table]


def test_a_diverged_run_keeps_the_best_weights_from_before(tmp_path: Path) -> None:
    """Everyone is fine at the start and broken from the first turn on."""
    sizes = _start_sizes(tmp_path)
    task = Scripted(is_bad=lambda value: value not in sizes)
    with pytest.raises(DivergedError, match=r"The best weights before that are in .*best"):
        session.run(
            dataclasses.replace(
                config_in(tmp_path, vary=[{"name": "mutation", "rate": 1.0, "direction": "all"}]), task=task
            )
        )
    meta = json.loads((tmp_path / "runs" / "digits" / "best" / "meta.json").read_text())
    assert meta["generation"] == -1
    assert meta["fitness"] == min(sizes)


PLUGIN_MISTAKES = {
    "evaluate raises": ("evaluate", ZeroDivisionError("oops"), "evaluate individual 0 raised ZeroDivisionError: oops"),
    "evaluate gives text": ("evaluate", "low", "evaluate individual 0 raised ValueError"),
    "loss exits": ("loss", SystemExit(0), "improve adamw: step 1 of individual 0 raised SystemExit: 0"),
    "loss is no tensor": ("loss", 1.5, "improve adamw: step 1 of individual 0 raised AttributeError"),
    "batch raises": ("batch", StopIteration(), "improve adamw: step 1 of individual 0 raised"),
    "build raises": ("build", TypeError("no model"), "population individuals: .* raised TypeError: no model"),
    "sample raises": ("sample", OSError("nothing"), "task scripted: sample raised OSError: nothing"),
}


@pytest.mark.parametrize("mistake", PLUGIN_MISTAKES)
def test_a_component_that_breaks_its_contract_is_named_with_its_place(tmp_path: Path, mistake: str) -> None:
    method, outcome, message = PLUGIN_MISTAKES[mistake]

    def act(*arguments: object) -> object:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    task = ScriptedTask(range(0), lambda value: False)
    setattr(task, method, act)
    with pytest.raises(PluginError, match=message) as caught:
        session.run(dataclasses.replace(config_in(tmp_path, vary=[]), task=_settings_of(task)))
    assert caught.value.exit_code == 5
    assert "The traceback is in the log.txt of the run; its checkpoints are intact." in str(caught.value)
    assert any(file in str(caught.value) for file in ("test_loop.py", "task.py", "training.py", "scoring.py"))


def test_a_fitness_that_is_a_tensor_or_a_numpy_number_is_taken_as_a_number(tmp_path: Path) -> None:
    task = ScriptedTask(range(0), lambda value: False)
    task.evaluate = lambda module: module.weight.detach().square().sum()
    result = session.run(dataclasses.replace(config_in(tmp_path, vary=[]), task=_settings_of(task)))
    assert type(result.best_fitness) is float


@pytest.mark.parametrize("turn", [Turn((-1,)), Turn((99,)), Turn((0.0,)), Turn((0,), steps=-3), Turn((0,), steps=1.5)])
def test_a_turn_that_cannot_be_carried_out_is_refused(tmp_path: Path, turn: Turn) -> None:
    rule = dataclasses.make_dataclass("Rule", [], namespace={"name": "odd", "choose": lambda self, *_: turn})()
    with pytest.raises(PluginError, match="rows are whole numbers from 0 to 2, steps a whole number or None"):
        session.run(dataclasses.replace(config_in(tmp_path), turn=rule))


def test_two_entries_that_keep_one_slot_differently_are_told_apart(tmp_path: Path) -> None:
    improve = [{"name": "adamw", "steps": 1}, {"name": "adamw", "steps": 1, "moments": "bfloat16"}]
    with pytest.raises(UsageError) as caught:
        _run(tmp_path, improve=improve)
    assert str(caught.value) == (
        "Slot 'adamw.first_moment' is declared twice, and not alike: as optimizer in float32 by adamw and as optimizer in "
        "bfloat16 by adamw. An individual keeps it once: give two entries of one component the same settings for it, or "
        "rename the slot in one of two plugins."
    )


@pytest.mark.parametrize("improve", [[], [{"name": "adamw", "steps": 1}]])
def test_the_result_counts_every_evaluation_once(tmp_path: Path, improve: list[dict[str, Any]]) -> None:
    measured = []
    task = ScriptedTask(range(0), lambda value: False)
    task.evaluate = lambda module: measured.append(1) or float(len(measured))
    result = session.run(dataclasses.replace(config_in(tmp_path, improve=improve), task=_settings_of(task)))
    assert result.evaluations == len(measured) > 3


def test_memory_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="out of memory") as caught:
        _run(tmp_path, population={"name": "individuals", "size": 100_000_000_000})
    assert caught.value.exit_code == 7


@pytest.mark.parametrize("failures", [2, 3])
def test_a_run_outlives_two_failed_checkpoints_in_a_row_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failures: int
) -> None:
    save, left = CheckpointStore.save, iter(range(failures))

    def failing(self: CheckpointStore, *arguments: Any, **options: Any) -> Path:
        if next(left, None) is not None:
            raise ResourceError("the disk was full")
        return save(self, *arguments, **options)

    monkeypatch.setattr(CheckpointStore, "save", failing)
    outcome = pytest.raises(ResourceError, match="the disk was full") if failures == 3 else nullcontext()
    with caplog.at_level(logging.WARNING, logger="evoweights"), outcome:
        _run(tmp_path, checkpoint={"every_generations": 1})
    said = [f"checkpoint failed ({number} in a row): the disk was full" for number in range(1, failures + 1)]
    assert caplog.messages == said


def test_memory_that_python_lacks_is_named_as_that_of_torch_is() -> None:
    with (
        pytest.raises(ResourceError, match=r"task big: open: out of memory \(MemoryError\)\. Make the population"),
        calling("task big: open"),
    ):
        raise MemoryError


def test_an_operator_that_raises_ends_the_run_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(
        "from dataclasses import dataclass\n"
        "from evoweights import TensorOperator, hookimpl\n"
        "@dataclass(frozen=True)\n"
        "class Bad(TensorOperator):\n"
        "    'Raises.'\n"
        "    name, source = 'bad', 'test'\n"
        "    def rewrite(self, target, source, noise):\n"
        "        raise RuntimeError('cannot do this')\n"
        "@hookimpl\n"
        "def register(catalog):\n"
        "    catalog.add('operator', Bad)\n"
    )
    with pytest.raises(PluginError, match="operator bad on individual 1 raised RuntimeError: cannot do this") as caught:
        _run(tmp_path, plugins=["./bad.py"], vary=[{"name": "bad"}])
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("policy", ["keep", "reset", "copy"])
def test_optimizer_state_follows_the_policy_of_the_run(tmp_path: Path, policy: str) -> None:
    from evoweights.storage.checkpoints import CheckpointStore

    _run(tmp_path, vary=[{"name": "crossover"}], generations=1, optimizer_state=policy)
    checkpoint = CheckpointStore(tmp_path / "runs" / "digits" / "checkpoints").latest()
    assert checkpoint is not None
    moments = [checkpoint.tensors(f"individuals/{row:04d}")["adamw.first_moment"] for row in range(3)]
    steps = [row["counters"].get("adamw.steps") for row in checkpoint.state["population"]["individuals"]]
    assert moments[0].any()
    expected = moments[0] if policy == "copy" else torch.zeros_like(moments[0])
    assert torch.equal(moments[1], expected)
    assert steps == [4, 4 if policy == "copy" else None, 4 if policy == "copy" else None]


def test_entries_act_only_in_their_phase(tmp_path: Path) -> None:
    vary = [{"name": "crossover", "every": 2, "start": 1, "stop": 5}]
    _run(tmp_path, vary=vary)
    assert [bool(line["varied"]) for line in _metrics(tmp_path)] == [False, True, False, True, False, False]


def test_truncation_copies_the_best_with_their_fitness(tmp_path: Path) -> None:
    select = {"name": "truncation", "share": 0.4}
    _run(tmp_path, vary=[], select=select, generations=2)
    for line in _metrics(tmp_path):
        copies = [each for each in line["varied"] if each["operators"] == ["truncation"]]
        assert len(copies) == 1
        assert line["fitness"][copies[0]["row"]] == line["fitness"][copies[0]["sources"][0]]


def test_a_backend_that_cannot_run_here_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^backend: backend 'cuda' cannot run: "):
        _run(tmp_path, device="cpu", backend="cuda")


def test_asking_for_cuda_where_there_is_none_is_one_clear_error(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(UsageError, match=r"device: 'cuda:3' is not here; torch sees \d CUDA devices. Use auto"):
        _run(tmp_path, device="cuda:3")
