"""Records are added a line at a time; a torn line never spoils the file, and a resume drops what is done again."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoweights.storage import journal
from evoweights.testing.faults import PowerCut, faulty_disk

LINES = [{"generation": index, "loss": index / 3} for index in range(5)]


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "metrics.jsonl"
    for line in LINES:
        journal.append(file, line)
    return file


def test_every_line_is_strict_json_and_numbers_come_back(tmp_path):
    path = tmp_path / "metrics.jsonl"
    record = {"fitness": (1.5, math.nan, None), "best": math.inf, "deep": {"worst": -math.inf}, "name": "a\nb"}
    journal.append(path, record)
    text = path.read_text()
    assert text.count("\n") == 1 and "NaN" not in text and "Infinity" not in text
    assert json.loads(text)["fitness"] == [1.5, "nan", None]
    (read,) = journal.records(path)
    assert repr(read) == repr({**record, "fitness": [1.5, math.nan, None]})


@settings(max_examples=60, derandomize=True, deadline=None)
@given(cut=st.integers(0, 2000), generation=st.integers(-1, 6))
def test_after_a_rewind_exactly_the_whole_lines_before_it_are_left(tmp_path_factory, cut, generation):
    path = tmp_path_factory.getbasetemp() / "rewound.jsonl"
    text = "".join(json.dumps(line) + "\n" for line in LINES)
    path.write_text(text[:cut])
    whole = text[:cut].count("\n")
    assert list(journal.records(path)) == LINES[:whole]
    journal.rewind(path, generation)
    assert path.read_text() == "".join(json.dumps(line) + "\n" for line in LINES[: min(whole, max(generation, 0))])
    journal.append(path, {"generation": 9})
    assert journal.last(path) == {"generation": 9}


def test_lines_that_name_no_generation_stay(path):
    journal.append(path, {"event": "resumed"})
    journal.rewind(path, 2)
    assert list(journal.records(path)) == [*LINES[:2], {"event": "resumed"}]


def test_a_rewind_that_changes_nothing_does_not_rewrite(path):
    with faulty_disk() as disk:
        journal.rewind(path, 5)
    assert disk.calls == []


def test_a_crash_at_any_call_of_a_rewind_leaves_the_old_or_the_new_lines(path):
    text, seen = path.read_bytes(), set()
    for number in range(100):
        path.write_bytes(text)
        with faulty_disk(cut_at=number, torn=True):
            try:
                journal.rewind(path, 3)
                break
            except PowerCut:
                seen.add(len(list(journal.records(path))))
    assert seen == {5, 3}


@pytest.mark.parametrize("damage", [b"\0" * 40 + b"\n", b"[1]\n", b"{\n", b"\xff\xfe\n", b"[" * 100_000 + b"\n"])
def test_what_is_no_record_is_left_out_and_dropped(path, damage):
    path.write_bytes(path.read_bytes() + damage)
    assert list(journal.records(path)) == LINES
    journal.rewind(path, math.inf)
    assert path.read_bytes().count(b"\n") == len(LINES)


def test_no_file_is_no_records(tmp_path):
    assert list(journal.records(tmp_path / "none")) == [] and journal.last(tmp_path / "none") is None
    journal.rewind(tmp_path / "none", 0)
    assert not (tmp_path / "none").exists()
