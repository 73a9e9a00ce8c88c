"""Faults happen where and when they are put, in runs of any component, and a run meets each of them as it promises."""

import dataclasses
import errno
import functools
import json
import math
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_components import Blend

from evoweights import Turn, setting
from evoweights.errors import PluginError, ResourceError, UsageError
from evoweights.storage.checkpoints import CheckpointStore
from evoweights.testing import config_in, population_digest
from evoweights.testing.faults import (
    AFTER_RENAME,
    BEFORE_MANIFEST,
    BEFORE_RENAME,
    IN_TENSORS,
    MOMENTS,
    DiskCall,
    Fault,
    FaultyDisk,
    PowerCut,
    cut_file,
    failing,
    failing_hook,
    faulty_disk,
    flip_bit,
    inserted,
    lose,
    nan_fitness,
    nan_gene,
    nan_loss,
    newest_checkpoint,
    with_faults,
)

BLENDING = {"vary": [Blend()]}


@functools.cache
def tiny():
    """A configuration whose components are only looked at."""
    return config_in(Path(), {})


def metrics(tmp_path, name="tiny"):
    return [json.loads(line) for line in (tmp_path / "runs" / name / "metrics.jsonl").read_text().splitlines()]


PLACES = {
    "task opens": ("task", "open"),
    "task builds": ("task", "build"),
    "task evaluates": ("task", "evaluate"),
    "population is founded": ("population", "blueprint"),
    "a turn is chosen": ("turn", "choose"),
    "an improver steps": ("improve.0", "step"),
    "an operator rewrites": ("vary.0", "rewrite"),
    "a selection chooses": ("select", "choose"),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_component_that_raises_ends_the_run_with_its_name(run_engine, name):
    place, method = PLACES[name]
    with pytest.raises(PluginError, match="raised ArithmeticError: injected"):
        run_engine(BLENDING, faults=[failing(place, method, error=ArithmeticError("injected"))])


@pytest.mark.parametrize("name", [name for name in PLACES if "opens" not in name and "builds" not in name])
def test_a_process_that_is_gone_at_a_call_is_continued_to_the_same_bits(run_engine, name):
    place, method = PLACES[name]
    whole = run_engine({"name": "whole", **BLENDING})
    with pytest.raises(PowerCut):
        run_engine(
            {"name": "cut", **BLENDING}, faults=[failing(place, method, error=PowerCut, at=1 + (method != "blueprint"))]
        )
    assert population_digest(run_engine({"name": "cut", **BLENDING}).folder) == population_digest(whole.folder)


@given(at=st.integers(1, 9), times=st.integers(1, 3))
def test_a_fault_counts_calls_from_one(at, times):
    fault = Fault("turn", "choose", lambda call, arguments: "fault", at=at, times=times)
    rule, true = with_faults(tiny(), fault).turn, tiny().turn
    given_back = [rule.choose(number, 3, None) for number in range(12)]
    assert [each == "fault" for each in given_back] == [at <= number < at + times for number in range(1, 13)]
    assert isinstance(rule, type(true)) and true.choose(0, 3, None).rows == (0,)


def test_a_nan_loss_stops_one_turn_and_no_more(run_engine, tmp_path):
    result = run_engine({}, faults=[nan_loss(at=4)])
    turns = [turn for line in metrics(tmp_path) for turn in line["improved"]]
    assert [turn["stopped"] for turn in turns] == [None, "the loss is nan", None, None]
    assert math.isfinite(result.best_fitness)


def test_a_nan_fitness_fails_one_individual(run_engine, tmp_path):
    result = run_engine({}, faults=[nan_fitness(at=2)])
    assert metrics(tmp_path)[0]["failed"] == [] and not math.isnan(result.table[1].start)
    run_engine({"name": "late", "vary": []}, faults=[nan_fitness(at=4)])
    assert [line["failed"] for line in metrics(tmp_path, "late")] == [[0]] * 4


def test_a_nan_gene_of_an_improver_fails_whom_it_improved(run_engine, tmp_path):
    run_engine({"vary": []}, faults=[nan_gene("improve.0", at=2)])
    assert [line["failed"] for line in metrics(tmp_path)] == [[0]] * 4


def test_a_nan_gene_of_an_operator_is_refused(run_engine):
    with pytest.raises(PluginError, match="operator blend on individual 1: gave NaN or infinity"):
        run_engine(BLENDING, faults=[nan_gene("vary.0", gene=3)])


def test_an_observer_that_raises_changes_nothing(run_engine):
    whole = run_engine({"name": "whole"})
    watched = run_engine({"name": "watched"}, faults=[failing_hook("step_finished", error=ValueError, at=2, times=9)])
    assert population_digest(watched.folder) == population_digest(whole.folder)
    log = (watched.folder / "log.txt").read_text()
    assert log.count("hook step_finished raised ValueError") == 3 and "switched off after 3 errors" in log


def test_an_observer_of_ones_own_can_be_made_to_raise(run_engine):
    faults = [failing("observers.0", "generation_finished", error=KeyError("injected"), at=2)]
    observers = [{"name": "tensorboard"}]
    assert (
        "hook generation_finished raised KeyError"
        in (run_engine({"observers": observers}, faults=faults).folder / "log.txt").read_text()
    )


def test_several_faults_happen_in_one_run(run_engine, tmp_path):
    run_engine({"vary": []}, faults=[nan_loss(at=1), nan_loss(at=5), nan_fitness(at=99)])
    turns = [turn["stopped"] for line in metrics(tmp_path) for turn in line["improved"]]
    assert turns.count("the loss is nan") == 2


def test_the_configuration_that_is_given_stays_sound(tmp_path):
    config = config_in(tmp_path, {})
    hooks, turn = config.hooks, config.turn
    broken = with_faults(
        config, failing_hook("run_started", error=ValueError), failing("turn", "choose", error=ValueError)
    )
    assert config.hooks is hooks and config.turn is turn and config.observers == ()
    assert broken.text == config.text and len(broken.observers) == 1 and broken.turn is not turn


@pytest.mark.parametrize(
    ("place", "method", "message"),
    [
        ("improver.0", "step", r"fault at 'improver.0': there is no such place. Did you mean 'improve.0'\?"),
        ("improve", "step", r"fault at 'improve': there is no such place. Did you mean 'improve.0'\?"),
        ("task.0", "loss", r"fault at 'task.0': there is no such place"),
        ("vary.3", "pairs", r"fault at 'vary.3': vary has 1 entries, counted from 0"),
        ("vary.0", "rewrit", r"fault at 'vary.0': there is no method 'rewrit'. Did you mean 'rewrite'\?"),
        ("hooks", "step_finish", r"there is no such hook. Did you mean 'step_finished'\?"),
    ],
)
def test_a_fault_that_cannot_be_put_anywhere_is_refused(tmp_path, place, method, message):
    with pytest.raises((UsageError, PluginError), match=message):
        with_faults(config_in(tmp_path, BLENDING), failing(place, method, error=ValueError))


def test_a_fault_in_a_method_that_the_opened_task_has_not_is_refused(run_engine):
    with pytest.raises(UsageError, match=r"fault at 'task': there is no method 'los'. Did you mean 'loss'\?"):
        run_engine({}, faults=[failing("task", "los", error=ValueError)])


@pytest.mark.parametrize(("name", "value"), [("at", 0), ("at", -1), ("times", 0)])
def test_a_fault_that_never_happens_is_refused(name, value):
    with pytest.raises(UsageError, match=f"fault at 'turn': {name} is {value}; expected 1 or more"):
        failing("turn", "choose", error=ValueError, **{name: value})


@pytest.mark.parametrize("slots", [False, True])
def test_a_fault_can_be_put_into_a_component_with_slots(tmp_path, slots):
    @dataclasses.dataclass(frozen=True, slots=slots)
    class First:
        """Row 0 is always the one."""

        name: ClassVar[str] = "first"
        source: ClassVar[str] = "a test"
        row: int = setting(0, "which", minimum=0)

        def choose(self, generation, size, noise):
            return Turn((self.row,))

    turn = with_faults(config_in(tmp_path, {"turn": First()}), failing("turn", "choose", error=ValueError, at=2)).turn
    assert turn.choose(0, 3, None) == Turn((0,)) and turn.row == 0
    with pytest.raises(ValueError):
        turn.choose(1, 3, None)


def test_a_file_is_lost_in_a_way_that_there_is(tmp_path):
    with pytest.raises(UsageError, match=r"there is no way 'truncate' to lose a file. Did you mean 'truncated'\?"):
        lose(tmp_path, set(), "truncate")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_power_cut_at_a_moment_of_a_save_leaves_the_checkpoint_that_it_says(run_engine, tmp_path, moment):
    whole = run_engine({"name": "whole"})
    with pytest.raises(PowerCut), faulty_disk(cut_at=DiskCall(moment.call, moment.path, 2, moment.after)) as disk:
        run_engine({"name": "cut"})
    found = CheckpointStore(tmp_path / "runs" / "cut" / "checkpoints").latest()
    # The first write of tensors is torn into several: the second one may still be in the first checkpoint.
    expected = {IN_TENSORS: 0, BEFORE_MANIFEST: 1, BEFORE_RENAME: 1, AFTER_RENAME: 2}[moment]
    assert (0 if found is None else found.state["progress"]["generation"]) == expected
    assert disk.carried_out(moment)
    assert population_digest(run_engine({"name": "cut"}).folder) == population_digest(whole.folder)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_full_disk_costs_one_checkpoint(run_engine, code):
    whole = run_engine({"name": "whole"})
    with faulty_disk(fail_at=DiskCall("write", "*/checkpoints/*", number=3), error=code, torn=True):
        result = run_engine({"name": "full"})
    assert "checkpoint failed (1 in a row)" in (result.folder / "log.txt").read_text()
    assert population_digest(result.folder) == population_digest(whole.folder)


def test_a_disk_that_stays_full_ends_the_run(run_engine):
    class Full(FaultyDisk):
        def _is_now(self, when, name, path):
            return when is not None and when.matches(name, path)

    disk = Full(fail_at=IN_TENSORS)
    with inserted(disk), pytest.raises(ResourceError, match="No space left on device"):
        run_engine({})


def test_faults_of_a_disk_end_with_their_block(tmp_path):
    from evoweights.storage import durable

    real = durable.os
    with pytest.raises(PowerCut), faulty_disk(cut_at=0) as disk:
        durable.write_text(tmp_path / "file", "text")
    assert durable.os is real and len(disk.calls) == 2 and disk.done == []
    durable.write_text(tmp_path / "file", "text")
    assert (tmp_path / "file").read_text() == "text"


def test_a_moment_is_a_call_of_that_name_on_that_path_so_often(tmp_path):
    from evoweights.storage import durable

    with faulty_disk(fail_at=DiskCall("write", "*/.tmp-b-*", number=2)):
        for name in ("a", "b"):
            durable.write_text(tmp_path / name, "first")
        durable.write_text(tmp_path / "a", "second")
        with pytest.raises(OSError, match="No space left"):
            durable.write_text(tmp_path / "b", "second")
    assert [(tmp_path / name).read_text() for name in ("a", "b")] == ["second", "first"]


@given(content=st.binary(min_size=1, max_size=40), data=st.data())
def test_one_bit_is_flipped_and_flipped_back(tmp_path_factory, content, data):
    file = tmp_path_factory.getbasetemp() / "bits"
    file.write_bytes(content)
    size = 8 * len(content)
    bit = data.draw(st.integers(-size, size - 1))
    flip_bit(file, bit)
    changed = int.from_bytes(content, "little") ^ int.from_bytes(file.read_bytes(), "little")
    assert changed == 1 << bit % size
    flip_bit(file, bit)
    assert file.read_bytes() == content
    with pytest.raises(IndexError, match=f"has {size} bits; there is no bit {size}"):
        flip_bit(file, size)


@pytest.mark.parametrize("damage", ["bit", "cut"])
def test_a_damaged_checkpoint_is_set_aside_and_the_run_ends_the_same(run_engine, tmp_path, damage):
    whole = run_engine({"name": "whole"})
    with pytest.raises(PowerCut):
        run_engine({"name": "cut"}, faults=[failing_hook("generation_finished", error=PowerCut, at=4)])
    newest = newest_checkpoint(tmp_path / "runs" / "cut")
    file = newest / "individuals" / "0001.safetensors"
    flip_bit(file, -1) if damage == "bit" else cut_file(file, 100)
    result = run_engine({"name": "cut"})
    assert list(newest.parent.glob(f".damaged-{newest.name}.*"))
    assert population_digest(result.folder) == population_digest(whole.folder)


def test_a_run_without_a_checkpoint_has_no_newest(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no checkpoint"):
        newest_checkpoint(tmp_path)
    with pytest.raises(FileNotFoundError, match="has no checkpoint"):
        population_digest(tmp_path)
