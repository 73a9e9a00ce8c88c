"""Comparisons: equal budgets, seeds pooled, and a clear word on what cannot be compared."""

import json
import tempfile
from pathlib import Path
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_folders import make_run

from evoweights.comparing.comparison import SHARES, compare, difference
from evoweights.comparing.groups import by_configuration, differences
from evoweights.comparing.measured import AXES, read_run
from evoweights.comparing.verdicts import remarks
from evoweights.errors import UsageError


def losses_of(count: int):
    return st.lists(st.floats(0, 10), min_size=count, max_size=count)


def compared(*folders: Path):
    return compare(by_configuration([read_run(each) for each in folders]))


def row_of(comparison, axis: str, label: str):
    return next(each for each in comparison.rows[axis] if each.label == label)


def test_runs_are_compared_where_the_smaller_budget_ends(tmp_path: Path) -> None:
    long = make_run(tmp_path / "long", [4.0, 3.0, 2.0, 1.0])
    short = make_run(tmp_path / "short", [4.0, 3.5], batch=1)
    found = row_of(compared(long, short), "tokens", "short")
    assert [each.budget for each in found.points] == [500, 1000, 2000]
    assert [each.difference and each.difference.mean for each in found.points] == [None, 0.0, 0.5]
    assert found.parts == {"long": 0.5}
    assert list(remarks([found], "tokens")) == [
        "compared before the end, in the middle of a schedule: long at 50% of its own tokens"
    ]


def test_each_axis_has_its_own_budget(tmp_path: Path) -> None:
    """Twice the FLOPs for a step, and half the seconds."""
    plain = make_run(tmp_path / "plain", [4.0, 3.0, 2.0, 1.0])
    dear = make_run(tmp_path / "dear", [4.0, 3.0, 2.0, 1.0], flops=2e9, seconds=1.0, vary=[{"name": "mix"}])
    found = compared(plain, dear)
    ends = {axis: row_of(found, axis, "dear").points[-1] for axis in AXES}
    assert {axis: end.budget for axis, end in ends.items()} == {"tokens": 4000, "flops": 4e9, "seconds": 4.0}
    assert {axis: end.difference.mean for axis, end in ends.items()} == {"tokens": 0.0, "flops": 2.0, "seconds": -2.0}
    assert found.changes == {"dear": ["vary.0: none -> mix"]}


def test_measuring_costs_nothing_unless_nothing_else_is_done(tmp_path: Path) -> None:
    trained = read_run(make_run(tmp_path / "trained", [2.0, 1.0], seconds=2.0, evaluate=5.0))
    assert trained.curves["seconds"].spent == (2.0, 4.0) and trained.curves["flops"].spent == (1e9, 2e9)
    searched = read_run(make_run(tmp_path / "searched", [2.0, 1.0], seconds=2.0, evaluate=5.0, improve=[], tokens=0))
    assert searched.curves["seconds"].spent == (7.0, 14.0) and searched.curves["flops"].spent == (1e6, 2e6)
    assert searched.curves["tokens"].last is None


def test_generations_without_a_loss_are_left_out(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "run", [3.0, None, float("nan"), 1.0]))
    assert run.curves["tokens"].spent == (1000, 4000)


@given(st.lists(st.tuples(st.integers(0, 99), st.floats(0, 9), st.floats(0, 9)), min_size=1, max_size=6))
def test_a_difference_is_that_of_the_means_of_what_is_paired(rows):
    first, own = {seed: each for seed, each, _ in rows}, {seed: each for seed, _, each in rows}
    found = difference(first, own)
    assert found.is_paired and found.seeds == len(first)
    assert found.mean == pytest.approx(mean(own.values()) - mean(first.values()), abs=1e-9)
    assert (found.low is None) == (len(first) == 1)
    back = difference(own, first)
    assert back.mean == pytest.approx(-found.mean, abs=1e-12)


def test_pairs_are_told_apart_where_groups_are_not(tmp_path: Path) -> None:
    """What seeds do to both runs alike is no difference between them."""
    first, own = {1: 1.0, 2: 5.0, 3: 9.0}, {1: 0.9, 2: 4.91, 3: 8.89}
    assert difference(first, own).high < 0
    apart = difference(first, {seed + 10: loss for seed, loss in own.items()})
    assert not apart.is_paired and apart.low < 0 < apart.high


def test_a_seed_more_on_one_side_does_not_undo_pairs() -> None:
    found = difference({1: 1.0, 2: 5.0, 3: 9.0}, {1: 0.9, 2: 4.9})
    assert found.is_paired and found.seeds == 2 and found.mean == pytest.approx(-0.1)


@given(st.integers(3, 8).flatmap(lambda count: st.lists(losses_of(count), min_size=2, max_size=3)))
def test_a_run_never_differs_from_its_twin_and_means_lie_within_the_losses(seeds):
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        runs = [make_run(place / f"a-s{seed}", losses, seed=seed) for seed, losses in enumerate(seeds)]
        for seed, losses in enumerate(seeds):
            runs.append(make_run(place / f"b-s{seed}", losses, seed=seed, vary=[{"name": "mix"}]))
        found = compared(*runs)
    every = [loss for losses in seeds for loss in losses]
    for axis in AXES:
        for point in row_of(found, axis, "b").points:
            if point.difference:
                assert point.difference.mean == point.difference.low == point.difference.high == 0
                assert min(every) - 1e-9 <= point.own.mean <= max(every) + 1e-9


def test_seeds_of_one_configuration_are_pooled(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / f"plain-s{seed}", [4.0, float(seed)], seed=seed) for seed in (1, 2, 3)]
    other = make_run(tmp_path / "other", [4.0, 1.0], seed=2, improve=[{"name": "es"}])
    groups = by_configuration([read_run(each) for each in (*folders, other)])
    assert [(group.label, group.seeds) for group in groups] == [("plain", (1, 2, 3)), ("other", (2,))]
    found = compare(groups)
    assert found.ends["plain"].mean == 2.0 and found.ends["plain"].deviation == 1.0
    assert found.ends["other"].deviation is None


@pytest.mark.parametrize("change", [{"observers": []}, {"checkpoint": {"keep": 3}}, {"controls": [{"name": "dense"}]}])
def test_what_changes_no_weight_makes_no_other_group(change: dict, tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "a-s1", [1.0]), make_run(tmp_path / "a-s2", [1.0], seed=2, **change)]
    assert len(by_configuration([read_run(each) for each in runs])) == 1


def test_groups_of_one_label_are_told_apart(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / where / "run", [2.0, 1.0], generations=2 + i) for i, where in enumerate("ab")]
    labels = [group.label for group in by_configuration([read_run(each) for each in folders])]
    assert labels == [str(each) for each in folders]


def test_one_run_measured_twice_is_refused(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / name, [1.0]) for name in ("a", "b")]
    with pytest.raises(UsageError, match=r"one seed \(1\), so they are one measurement, not two"):
        compared(*folders)


def test_seeds_from_the_environment_are_not_taken_for_one(tmp_path: Path) -> None:
    """A configuration keeps where such a seed is from, not the seed."""
    seed = "${oc.env:EVOWEIGHTS_SEED}"
    folders = [make_run(tmp_path / name, [1.0], seed=seed) for name in ("a", "b")]
    (group,) = by_configuration([read_run(each) for each in folders])
    assert group.seeds == tuple(map(str, folders))


def test_a_single_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least two runs"):
        compared(make_run(tmp_path / "a", [1.0]))


def test_runs_of_different_tasks_are_refused(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / name, [1.0], task={"name": name}) for name in ("digits", "function")]
    with pytest.raises(UsageError, match=r"has the task function, .* the task digits"):
        compared(*folders)


def test_runs_measured_on_other_data_are_refused(tmp_path: Path) -> None:
    one = make_run(tmp_path / "one", [1.0], data={"validation data": "aa", "training data": "bb"})
    two = make_run(tmp_path / "two", [1.0], data={"validation data": "ab", "training data": "bb"}, seed=2)
    with pytest.raises(UsageError, match="were not measured with the same validation data"):
        compared(one, two)


def test_other_training_data_and_other_task_settings_are_noted(tmp_path: Path) -> None:
    one = make_run(tmp_path / "one", [1.0], data={"validation data": "aa", "training data": "bb"})
    two = make_run(
        tmp_path / "two",
        [1.0],
        data={"validation data": "aa", "training data": "cc"},
        task={"name": "digits", "batch": 9},
    )
    notes = compared(one, two).notes
    assert any("trained on different data" in note for note in notes)
    assert any("differ in task.batch: 8 -> 9" in note for note in notes)


def test_a_run_that_is_not_finished_is_compared_as_far_as_it_is(tmp_path: Path) -> None:
    one = make_run(tmp_path / "one", [2.0, 1.0])
    two = make_run(tmp_path / "two", [2.0, 1.5], done=False, generations=9)
    found = compared(one, two)
    assert row_of(found, "tokens", "two").points[-1].difference.mean == 0.5
    assert any("two is stopped, not finished: 2 of 9 generations" in note for note in found.notes)


def test_runs_without_a_ledger_are_compared_on_what_is_known(tmp_path: Path) -> None:
    one, two = (
        make_run(tmp_path / "one", [2.0, 1.0]),
        make_run(tmp_path / "two", [2.0, 1.5], flops=None, vary=[{"name": "mix"}]),
    )
    found = compared(one, two)
    assert row_of(found, "tokens", "two").points and row_of(found, "seconds", "two").points
    assert not row_of(found, "flops", "two").points
    assert list(remarks(found.rows["flops"], "FLOPs")) == ["spent no FLOPs, or they are not known: two"]
    assert any("two has no ledger" in note for note in found.notes)


def test_runs_without_any_loss_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing to compare\. The run is \w+; continue it with: evoweights resume"):
        read_run(make_run(tmp_path / "run", [None, None], done=False))


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    make_run(tmp_path / "small", [1.0])
    with pytest.raises(UsageError, match=r"is no run.*Did you mean 'small'"):
        read_run(tmp_path / "smal")


def test_budgets_begin_where_every_run_was_measured(tmp_path: Path) -> None:
    """A quarter of the budget may be before the first measurement."""
    one, two = make_run(tmp_path / "one", [2.0, 1.0]), make_run(tmp_path / "two", [2.0, 1.0], vary=[{"name": "mix"}])
    points = row_of(compared(one, two), "tokens", "two").points
    assert [each.share for each in points] == list(SHARES)
    assert [each.difference is not None for each in points] == [False, True, True]


def test_what_was_known_at_the_start_is_the_beginning_of_every_curve(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [2.0, 1.0])
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    first = {**json.loads(lines[0]), "start_fitness": [None, 4.0, 3.0]}
    (folder / "metrics.jsonl").write_text("\n".join([json.dumps(first), *lines[1:]]) + "\n")
    curves = read_run(folder).curves
    assert {axis: (curve.spent[0], curve.losses[0]) for axis, curve in curves.items()} == dict.fromkeys(
        AXES, (0.0, 3.0)
    )
    assert curves["tokens"].at(500) == 2.5


def test_differences_name_components_not_their_settings(tmp_path: Path) -> None:
    pso, mix = {"name": "pso", "social": 2.0, "direction": "ring"}, {"name": "mix", "weight": 0.1}
    groups = by_configuration(
        [
            read_run(make_run(tmp_path / "one", [1.0], vary=[pso, mix])),
            read_run(
                make_run(tmp_path / "two", [1.0], vary=[{**pso, "social": 1.0}, {"name": "mutation", "rate": 1.0}])
            ),
            read_run(make_run(tmp_path / "three", [1.0])),
        ]
    )
    assert differences(groups[0], groups[1]) == ["vary.0.social: 2.0 -> 1.0", "vary.1: mix -> mutation"]
    assert differences(groups[0], groups[2]) == ["vary.0: pso -> none", "vary.1: mix -> none"]


def test_what_makes_a_comparison_doubtful_is_noted(tmp_path: Path) -> None:
    one = make_run(tmp_path / "one", [2.0, 1.0])
    two = make_run(tmp_path / "two", [2.0, 1.0], task={"name": "digits", "batch": 16}, done=False)
    for run, machine in ((one, "a machine"), (two, "another")):
        (run / "environment.json").write_text(json.dumps({"machine": machine}))
    notes = compared(one, two).notes
    assert "two and one differ in task.batch: 8 -> 16: are the losses of the same data?" in notes
    assert "the runs were made on different machines, so seconds compare those as well" in notes
    assert any(each.endswith("not finished: 2 of 2 generations are compared") for each in notes)
