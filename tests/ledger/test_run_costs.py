"""The ledger of real runs: what it counts is what was done, and interruptions do not lose any of it."""

import itertools
import json
import signal
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine_runs import StopAt, config_in, observe
from evoweights.errors import RunStopped
from evoweights.ledger import energy
from evoweights.records import RunResult
from evoweights.runs import session
from evoweights.storage.checkpoints import CheckpointStore
from evoweights.storage.formats import from_json, to_json
from evoweights.world import World

FORWARD = 2 * 8 * (64 * 12 + 12 * 10)
"""FLOPs of a batch of 8 digits of 64 pixels through 12 hidden units to 10 classes."""
ROW = 4 * 1024 * 4
"""Bytes of an individual: two matrices and two vectors in float32, each filling a tile of 1,024 genes."""


def _run(folder: Path, observer: object | None = None, **top: Any) -> RunResult:
    config = config_in(folder, **top)
    if observer is not None:
        observe(config, observer)
    return session.run(config)


def _lines(folder: Path, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "runs" / "digits" / name).read_text().splitlines()]


def _ledgers(folder: Path) -> list[dict[str, Any]]:
    return [line["ledger"] for line in _lines(folder)]


def _exact(ledgers: list[dict[str, Any]]) -> list[tuple[int, ...]]:
    """What is a function of the configuration alone."""
    return [tuple(each[key] for key in ("tokens", "flops", "evaluation_flops", "credit_flops")) for each in ledgers]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    _run(folder)
    return folder


def test_a_step_costs_three_forward_passes_and_every_record_has_the_sum(plain: Path) -> None:
    assert [each["flops"] for each in _ledgers(plain)] == [3 * FORWARD * 4 * done for done in range(1, 7)]
    assert [each["tokens"] for each in _ledgers(plain)] == [8 * 4 * done for done in range(1, 7)]


def test_measuring_costs_the_validation_images_and_crediting_a_batch_each_time(plain: Path) -> None:
    """All 3 individuals at the start and in each generation, as all but the actor were rewritten."""
    expected = []
    for line in _lines(plain):
        credited = sum(
            len(each["losses"]) for each in _lines(plain, "lineage.jsonl") if each["generation"] <= line["generation"]
        )
        expected.append((FORWARD * 4 * 3 * (line["generation"] + 2), FORWARD * credited))  # 4 batches of images
    assert [(each["evaluation_flops"], each["credit_flops"]) for each in _ledgers(plain)] == expected


def test_the_result_has_the_last_ledger(plain: Path, tmp_path: Path) -> None:
    result, last = _run(tmp_path), _ledgers(tmp_path)[-1]
    assert result.ledger.keys() == last.keys()
    assert _exact([dict(result.ledger)]) == _exact([last])
    assert result.tokens == last["tokens"] and result.seconds == last["seconds"]


@settings(max_examples=3)
@given(step=st.integers(1, 23))
def test_interruptions_lose_no_work_and_count_none_twice(
    tmp_path_factory: pytest.TempPathFactory, plain: Path, step: int
) -> None:
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.raises(RunStopped):
        _run(folder, StopAt(step, signal.SIGTERM))
    _run(folder)
    assert _exact(_ledgers(folder)) == _exact(_ledgers(plain))
    moved = [each["bytes_moved"] for each in _ledgers(folder)]
    assert moved == sorted(moved) and moved[-1] > _ledgers(plain)[-1]["bytes_moved"]


def test_a_checkpoint_of_a_version_that_did_not_count_leaves_the_costs_unknown(tmp_path: Path) -> None:
    with pytest.raises(RunStopped):
        _run(tmp_path, StopAt(10, signal.SIGTERM))
    checkpoint = CheckpointStore(tmp_path / "runs" / "digits" / "checkpoints").latest()
    assert checkpoint is not None
    state = from_json(to_json(checkpoint.state).encode())
    del state["measured"]
    for name in ("flops", "evaluation_flops", "credit_flops"):
        del state["progress"][name]
    config = config_in(tmp_path / "other")
    task = session.open_task(config, tmp_path / "task", session.resolve_device("cpu"))
    world = World(*session.found_population(config, task, session.resolve_device("cpu"), tmp_path / "population"))
    world.restore(state, checkpoint.tensors)
    world.progress.trained(1)
    world.progress.measured(1, 1)
    costs = world.costs(8)
    assert {name for name, value in asdict(costs).items() if value is None} == {
        *("flops", "evaluation_flops", "credit_flops", "bytes_moved", "joules")
    }
    assert costs.tokens == 8 * 10


def test_bytes_are_those_between_the_homes_and_the_live_module(tmp_path: Path) -> None:
    """Three are founded; a generation loads and stores one with its moments, and shows three to measure them."""
    _run(tmp_path, vary=[])
    genes, moments = ROW, 2 * ROW
    start = 3 * genes + 3 * moments + 3 * genes  # founded, measured
    champions = []
    best = min(each for each in _lines(tmp_path)[0]["start_fitness"])
    for line in _lines(tmp_path):
        champions.append(line["best_fitness"] < best)
        best = min(best, line["best_fitness"])
    moved, expected = start + genes, []
    for is_new in champions:
        moved += 2 * (genes + moments) + genes + is_new * genes
        expected.append(moved)
    assert [each["bytes_moved"] for each in _ledgers(tmp_path)] == expected


def test_an_individual_that_lives_in_the_module_moves_nothing(tmp_path: Path) -> None:
    _run(tmp_path, vary=[], population={"name": "individuals", "size": 1})
    assert {each["bytes_moved"] for each in _ledgers(tmp_path)} == {0}


@pytest.mark.parametrize("perturbation", ["low_rank", {"name": "gaussian", "layerwise": "on"}], ids=str)
def test_each_member_of_an_evolution_strategy_is_a_forward_pass_and_checks_are_none(
    tmp_path: Path, perturbation: Any
) -> None:
    """Also in the second process, which checks again who reads what."""
    es = {"name": "es", "steps": 3, "members": 4, "perturbation": perturbation, "check_every": 0}
    top = {"vary": [], "improve": [es], "generations": 2, "population": {"name": "individuals", "size": 1}}
    with pytest.raises(RunStopped):
        _run(tmp_path, StopAt(2, signal.SIGTERM), **top)
    _run(tmp_path, **top)
    assert [each["flops"] for each in _ledgers(tmp_path)] == [3 * 4 * FORWARD, 2 * 3 * 4 * FORWARD]


def test_seconds_are_those_of_the_generations_without_what_credits_operators(plain: Path) -> None:
    """The sum of the phases that belong to a generation is all but a little of it."""
    total = 0.0
    for line in _lines(plain):
        total += sum(line["seconds"][phase] for phase in ("improve", "vary", "evaluate") if phase in line["seconds"])
        assert line["ledger"]["seconds"] >= total
        assert line["seconds"]["vary"] >= 0
    assert all(line["seconds"]["credit"] > 0 for line in _lines(plain) if line["varied"])


def test_a_checkpoint_is_timed_in_the_record_that_follows_it(plain: Path) -> None:
    """Saved after every second generation."""
    assert [each["generation"] for each in _lines(plain) if "checkpoint" in each["seconds"]] == [2, 4]


def test_the_first_record_has_the_fitness_of_the_start(plain: Path, tmp_path: Path) -> None:
    result = _run(tmp_path)
    first, *others = _lines(plain)
    assert first["start_fitness"] == [each.start for each in result.table]
    assert all(each["start_fitness"] is None for each in others)


def test_the_distance_is_the_mean_of_those_of_the_pairs(plain: Path) -> None:
    for line in _lines(plain):
        assert [pair[:2] for pair in line["distances"]] == [[0, 1], [0, 2], [1, 2]]
        assert line["distance"] == sum(gap for _, _, gap in line["distances"]) / 3


def test_large_populations_leave_the_distances_of_pairs_out(tmp_path: Path) -> None:
    _run(tmp_path, generations=1, vary=[], population={"name": "individuals", "size": 17})
    (line,) = _lines(tmp_path)
    assert line["distances"] is None and line["distance"] > 0


def test_energy_is_carried_over_an_interruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process sees a counter that grows by a joule at each reading."""

    def meter(device: str) -> energy.EnergyMeter:
        readings = iter(range(0, 10**9, 10**6))
        return energy.EnergyMeter([energy.EnergyCounter("fake", lambda: next(readings))])

    monkeypatch.setattr(session, "energy_meter", meter)
    with pytest.raises(RunStopped):
        _run(tmp_path, StopAt(10, signal.SIGTERM))
    _run(tmp_path)
    joules = [each["joules"] for each in _ledgers(tmp_path)]
    assert all(after > before for before, after in itertools.pairwise(joules))
    assert joules[0] >= 1.0
