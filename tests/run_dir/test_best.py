"""The best individual on disk is always a whole one, and is verified when it is loaded."""

import errno
import os
import threading

import pytest
import torch
from disk_faults import fresh_copies

from evoweights.errors import CheckpointError, ResourceError
from evoweights.storage import durable
from evoweights.storage.best import GENOME, META, best_facts, load_best, put_back_best, save_best
from evoweights.storage.manifest import MANIFEST
from evoweights.testing.faults import PowerCut, faulty_disk, lose


def put(run, value: float) -> None:
    save_best(run / "best", {"weights": torch.full((5,), value)}, {"fitness": value, "unknown": float("nan")})


def value_of(run) -> float:
    tensors, meta = load_best(run / "best")
    assert tensors["weights"].tolist() == [meta["fitness"]] * 5
    return meta["fitness"]


def test_the_best_individual_comes_back(tmp_path):
    put(tmp_path, 1.0)
    put(tmp_path, 2.0)
    assert value_of(tmp_path) == 2.0 and os.listdir(tmp_path) == ["best"]
    assert sorted(os.listdir(tmp_path / "best")) == [MANIFEST, GENOME, META]


@pytest.mark.parametrize("how", ["absent", "truncated", "zeroed"])
def test_a_power_cut_at_any_call_leaves_the_old_or_the_new_best(tmp_path, how):
    (tmp_path / "template").mkdir()
    put(tmp_path / "template", 1.0)
    seen = set()
    for number, run in fresh_copies(tmp_path / "template", tmp_path):
        with faulty_disk(cut_at=number) as disk:
            try:
                put(run, 2.0)
                break
            except PowerCut:
                lose(run, disk.unsynced, how)
        before = value_of(run)
        seen.add(before)
        with faulty_disk():
            durable.clean(run)
            put_back_best(run / "best")
            assert value_of(run) == before and (run / "best").is_dir()
            put(run, 3.0)
        assert value_of(run) == 3.0 and os.listdir(run) == ["best"]
    assert seen == {1.0, 2.0} and number > 20


def test_an_error_at_any_call_leaves_the_old_or_the_new_best(tmp_path):
    (tmp_path / "template").mkdir()
    put(tmp_path / "template", 1.0)
    failures = 0
    for number, run in fresh_copies(tmp_path / "template", tmp_path):
        with faulty_disk(fail_at=number, error=errno.ENOSPC, torn=True) as disk:
            try:
                put(run, 2.0)
                if len(disk.calls) <= number:
                    break
            except ResourceError as error:
                failures += 1
                assert "best could not be written: No space left" in str(error)
        assert value_of(run) in (1.0, 2.0)
        assert not list(run.glob(".staging*"))
    assert failures > 20


@pytest.mark.parametrize("file", [GENOME, META, MANIFEST])
def test_a_damaged_best_is_named(tmp_path, file):
    put(tmp_path, 1.0)
    path = tmp_path / "best" / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"best is damaged: {file}[\s\S]*Continue the run, or restore"):
        load_best(tmp_path / "best")


def test_a_best_that_cannot_be_read_though_it_was_verified_is_named(tmp_path, monkeypatch):
    put(tmp_path, 1.0)

    def refuse(path):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("evoweights.storage.best.read_tensors", refuse)
    with pytest.raises(
        CheckpointError, match=r"best cannot be read: .*Input/output error\. Mend that, or put back an intact"
    ):
        load_best(tmp_path / "best")


def test_no_best_is_said(tmp_path):
    with pytest.raises(CheckpointError, match=r"has no best individual yet. Continue the run until"):
        load_best(tmp_path / "best")


def test_a_reader_beside_a_running_process_sees_one_best_or_the_other(tmp_path):
    put(tmp_path, 0.0)
    done = threading.Event()

    def replace() -> None:
        number = 0.0
        while not done.is_set():
            number += 1.0
            put(tmp_path, number)

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        for _ in range(100):
            value_of(tmp_path)
            facts, problem = best_facts(tmp_path / "best")
            assert facts is not None and not problem
    finally:
        done.set()
        writer.join()
