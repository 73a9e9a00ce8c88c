"""Crediting operators: it changes no bit of a run, and the losses are those of the weights at that moment."""

import dataclasses
import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_runs import config_in
from evoweights.errors import PluginError
from evoweights.records import RunResult, VaryRecord
from evoweights.runs import session
from evoweights.runs.individuals import open_individual
from evoweights.seeds import Noise
from evoweights.storage.checkpoints import CheckpointStore
from evoweights.testing.populations import contents, mixed_layout, population_of, scene_of
from evoweights.variation import Named, vary
from evoweights_classic import PSO, ArithmeticCrossover, Crossover, Mutation
from evoweights_toy.digits import DigitsTask

OPERATORS = [
    PSO(social=1.0, inertia=0.5, cognitive=0.5),
    Crossover(rate=0.4),
    ArithmeticCrossover(),
    Mutation(rate=0.3, direction="current_to_others"),
]


class Sums:
    """Stands for losses: the sum of a row's weights when it is asked for."""

    def __init__(self, population: Any) -> None:
        self.population, self.asked = population, []

    def before(self, row: int) -> float:
        return self.after(row)

    def after(self, row: int) -> float:
        self.asked.append(row)
        return float(self.population.row(row).double().sum())


def _varied(operators: Any, dtype: torch.dtype, direction: str, backend: str, *, is_credited: bool) -> Any:
    slots = dict.fromkeys(slot for operator in operators for slot in operator.slots)
    population = population_of(mixed_layout(dtype), 3, slots=tuple(slots))
    sums = Sums(population)
    records = vary(
        population,
        [Named(f"{i}-{each.name}", dataclasses.replace(each, direction=direction)) for i, each in enumerate(operators)],
        scene_of(3),
        generation=1,
        noise=Noise(5, "vary"),
        backend=backend,
        optimizer_state="keep",
        losses=sums if is_credited else None,
    )
    return population, records, sums


def _check_split(operators: Any, dtype: torch.dtype, direction: str, backend: str) -> None:
    fused, plain, _ = _varied(operators, dtype, direction, backend, is_credited=False)
    single, records, sums = _varied(operators, dtype, direction, backend, is_credited=True)
    assert contents(single) == contents(fused)
    assert [{**vars(each), "losses": None} for each in records] == [vars(each) for each in plain]
    assert [len(each.losses) for each in records] == [1 + len(each.operators) for each in records]
    assert all(each.losses is None for each in plain)
    last = {each.row: each.losses[-1] for each in records}
    assert last == {row: float(single.row(row).double().sum()) for row in last}
    assert set(sums.asked) == set(last)


@settings(max_examples=15)
@given(
    operators=st.permutations(OPERATORS).flatmap(lambda each: st.integers(1, 4).map(lambda count: each[:count])),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    direction=st.sampled_from(["current_to_others", "all", "ring", "best_to_others"]),
)
def test_one_operator_after_the_other_has_the_bits_of_all_in_one_launch(operators, dtype, direction):
    """Rounding to bfloat16, stochastic at that, included."""
    _check_split(operators, dtype, direction, "reference")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_compiled_operators_too(dtype):
    _check_split(OPERATORS, dtype, "current_to_others", "cpu")


def test_losses_are_before_the_first_operator_and_after_each():
    _, records, _ = _varied(OPERATORS[1:2], torch.float32, "current_to_others", "reference", is_credited=True)
    start = population_of(mixed_layout(), 3)
    for each in records:
        assert each.losses[0] == float(start.row(each.row).double().sum()) != each.losses[1]


def _run(folder: Path, **top: Any) -> RunResult:
    return session.run(config_in(folder, **top))


def _tensors(folder: Path) -> dict[str, bytes]:
    checkpoint = CheckpointStore(folder / "runs" / "digits" / "checkpoints").latest()
    assert checkpoint is not None
    return {
        f"{name}/{key}": tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()
        for name in checkpoint.names
        for key, tensor in checkpoint.tensors(name).items()
    }


BATCH_NORM = {
    "name": "digits",
    "hidden": [12],
    "batch": 8,
    "train_images": 64,
    "validation_images": 32,
    "batch_norm": True,
}


@pytest.mark.parametrize("home", ["device", "host", "disk"])
def test_a_run_ends_with_the_same_bits_whether_or_not_its_operators_are_credited(tmp_path: Path, home: str) -> None:
    population = {"name": "individuals", "size": 3, "home": home}
    results = [
        _run(tmp_path / str(credit), credit=credit, changes={"task": BATCH_NORM}, population=population)
        for credit in (True, False)
    ]
    assert _tensors(tmp_path / "True") == _tensors(tmp_path / "False")
    assert results[0].table == results[1].table
    costs = [
        (each.ledger["flops"], each.ledger["evaluation_flops"], each.ledger["credit_flops"] > 0) for each in results
    ]
    assert costs[0][:2] == costs[1][:2] and (costs[0][2], costs[1][2]) == (True, False)
    assert len(results[0].credit) == 3 and results[1].credit == ()


def test_a_single_individual_that_lives_in_the_module_can_be_credited_too(tmp_path: Path) -> None:
    top = {"population": {"name": "individuals", "size": 1}, "vary": [{"name": "mutation", "direction": "current"}]}
    for credit in (True, False):
        _run(tmp_path / str(credit), credit=credit, **top)
    assert _tensors(tmp_path / "True") == _tensors(tmp_path / "False")


def _lineage(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "runs" / "digits" / "lineage.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_the_losses_in_the_lineage_are_those_of_training_batch_0(tmp_path: Path) -> None:
    """Checked on the last generation, whose rewritten individuals are in the last checkpoint."""
    result = _run(tmp_path)
    folder = tmp_path / "runs" / "digits"
    last = [each for each in _lineage(tmp_path) if each["generation"] == 5]
    assert len(last) == 2
    for each in last:
        opened = open_individual(folder, str(each["row"]))
        assert each["losses"][-1] == float(opened.task.scores(opened.module, opened.task.batch(0)).double().mean())
        assert len(each["losses"]) == 4
    assert [each.operator for each in result.credit] == ["0-pso", "1-crossover", "2-mutation"]
    assert [each.applications for each in result.credit] == [10, 10, 12]


def test_a_record_with_losses_survives_json():
    for losses in (None, (1.0, math.inf)):
        record = VaryRecord(1, ("0-pso",), 0, 5, (1, 2), (1,), "cpu", losses)
        assert VaryRecord.from_json(json.loads(json.dumps(vars(record)))) == record
    old = {key: value for key, value in vars(record).items() if key != "losses"}
    assert VaryRecord.from_json(old).losses is None


def test_what_cannot_be_scored_says_how_to_go_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object, module: object, batch: object) -> None:
        raise NotImplementedError("no scores")

    monkeypatch.setattr(DigitsTask, "scores", fail)
    monkeypatch.setattr(DigitsTask, "flops", lambda self, module, share=None: 1)
    with pytest.raises(PluginError, match="credit: false"):
        _run(tmp_path)
    _run(tmp_path / "without", credit=False)


def test_operators_of_several_leaders_are_measured_from_where_the_one_before_left_off() -> None:
    """With two actors, every row but one is rewritten twice."""
    population = population_of(mixed_layout(), 3)
    records = vary(
        population,
        [Named("0-crossover", Crossover(rate=0.4))],
        scene_of(3, actors=(0, 1)),
        generation=1,
        noise=Noise(5, "vary"),
        backend="reference",
        optimizer_state="keep",
        losses=Sums(population),
    )
    by_row: dict[int, list[VaryRecord]] = {}
    for each in records:
        by_row.setdefault(each.row, []).append(each)
    for row in by_row.values():
        assert all(first.losses[-1] == second.losses[0] for first, second in itertools.pairwise(row))
