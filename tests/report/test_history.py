"""The record of a run becomes columns of numbers, whatever is unknown in it, or one clear error."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_runs import record_run, records

from evoweights.errors import CheckpointError, UsageError
from evoweights.report.history import History, read_history
from evoweights.storage.run_dir import RunDirectory


def history_of(folder: Path) -> History:
    return read_history(RunDirectory.read(folder))


def rewrite(folder: Path, lines: list[Any]) -> None:
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_every_number_of_the_record_is_in_its_place(tmp_path: Path) -> None:
    history, lines = history_of(record_run(tmp_path / "run", generations=12, size=3)), list(records(12, 3, seed=7))
    assert history.size == 3 and list(history.generation) == list(range(12))
    assert history.fitness.tolist() == [line["fitness"] for line in lines]
    assert history.tokens.tolist() == [line["tokens"] for line in lines]
    assert history.pairs == ((0, 1), (0, 2), (1, 2))
    assert history.pair_distances.tolist() == [[value for _, _, value in line["distances"]] for line in lines]
    assert history.turns.row.tolist() == [line["improved"][0]["row"] for line in lines]
    assert [each.id for each in history.rewritings] == [each["id"] for line in lines for each in line["varied"]]
    assert history.seconds["improve"].tolist() == [line["seconds"]["improve"] for line in lines]
    assert history.seconds["checkpoint"].tolist() == [line["seconds"].get("checkpoint", 0.0) for line in lines]
    assert history.ledger["flops"].tolist() == [line["ledger"]["flops"] for line in lines]


UNKNOWN = st.sampled_from([None, "nan", "inf", "-inf"])


@given(st.data())
def test_what_is_unknown_or_not_finite_is_nan_and_nothing_else_changes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder, lines = record_run(tmp_path_factory.mktemp("runs") / "run", generations=5, size=2), []
    for line in records(5, 2, seed=7):
        for key in ("best_fitness", "distance", "best_row", "ledger", "distances"):
            if data.draw(st.booleans()):
                line[key] = None
        line["fitness"] = [data.draw(UNKNOWN) if data.draw(st.booleans()) else value for value in line["fitness"]]
        lines.append(line)
    rewrite(folder, lines)
    history = history_of(folder)
    for entry, line in enumerate(lines):
        known = [value if isinstance(value, float) else math.nan for value in line["fitness"]]
        assert np.array_equal(history.fitness[entry], known, equal_nan=True)
        assert history.best_row[entry] == (-1 if line["best_row"] is None else line["best_row"])
        assert math.isnan(history.distance[entry]) == (line["distance"] is None)


def test_a_line_that_is_just_being_written_is_left_out(tmp_path: Path) -> None:
    folder = record_run(tmp_path / "run", generations=4)
    with (folder / "metrics.jsonl").open("a") as stream:
        stream.write('{"generation": 4, "fit')
    assert len(history_of(folder).generation) == 4


def test_a_run_without_a_generation_says_so(tmp_path: Path) -> None:
    folder = record_run(tmp_path / "run", generations=0)
    with pytest.raises(CheckpointError, match="no generation is recorded, though the run is finished"):
        history_of(folder)
    (folder / "DONE").unlink()
    with pytest.raises(UsageError, match="no generation is over yet"):
        history_of(folder)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda line: line.pop("fitness"), "fitness"),
        (lambda line: line.update(fitness=3.5), "TypeError"),
        (lambda line: line.update(best_row=7), "row 7 of 3"),
        (lambda line: line["improved"][0].update(row=-4), "row -4 of 3"),
        (lambda line: line.update(improved=[3]), "not subscriptable"),
        (lambda line: line.update(generation=1), "generation 1 after 1"),
        (lambda line: line.update(generation="two"), "two"),
    ],
)
def test_a_line_that_makes_no_sense_is_one_error_that_names_it(tmp_path: Path, change: Any, what: str) -> None:
    folder, lines = record_run(tmp_path / "run", generations=4), list(records(4, 3, seed=7))
    change(lines[2])
    rewrite(folder, lines)
    with pytest.raises(
        CheckpointError, match=r"metrics\.jsonl: line 3 is no record of a generation \(.*Put back an"
    ) as caught:
        history_of(folder)
    assert what in str(caught.value)
