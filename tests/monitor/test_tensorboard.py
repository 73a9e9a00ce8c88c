import dataclasses
import logging
import math
import shutil
import threading

import pluggy
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from evoweights import hookspecs
from evoweights_monitor.tensorboard import TensorBoard


def read(folder):
    events = EventAccumulator(str(folder / "tb"), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    return events


def series(events, tag):
    return [(event.step, event.value) for event in events.Scalars(tag)]


def start(info):
    manager = pluggy.PluginManager("evoweights")
    manager.add_hookspecs(hookspecs)
    manager.register(TensorBoard())
    manager.hook.run_started(info=info)
    return manager.hook


def test_a_generation_is_written_under_its_number(make_info, make_generation, make_result):
    info = make_info()
    hook = start(info)
    for generation in range(4):
        hook.generation_finished(info=info, record=make_generation(generation, train=5.0 + generation))
    hook.run_finished(info=info, result=make_result(sample="two\nlines"))
    events = read(info.folder)
    assert series(events, "loss/expert_00") == [(0, 5.0), (3, 8.0)]
    assert series(events, "loss/expert_01") == [(1, 6.0)]
    assert series(events, "jump/expert_00") == [(3, 0.25)]
    assert series(events, "validation/expert_02") == [(step, pytest.approx(4.2)) for step in range(4)]
    assert series(events, "best/loss") == [(step, 4.0) for step in range(4)]
    assert series(events, "best/row") == [(step, 0.0) for step in range(4)]
    assert series(events, "population/distance") == [(step, pytest.approx(0.0123)) for step in range(4)]
    assert series(events, "time/evaluate") == [(step, 1.5) for step in range(4)]
    assert series(events, "throughput/tokens_per_second") == [(step, 25600.0) for step in range(4)]
    assert all(value > 0 for _, value in series(events, "memory/peak_gib"))
    sample = events.Tensors("sample/text_summary")[0].tensor_proto.string_val[0].decode()
    assert sample == "    two\n    lines"


def test_what_an_improver_reports_is_written_as_the_mean_of_the_generation(make_info, make_generation):
    info = make_info()
    hooks = start(info)
    for step, cosine in ((1, 0.25), (2, 0.75)):
        report = {"cosine": cosine, "fitness": [1.0, 2.0], "label": "x", "alarm": step == 1, "unknown": math.nan}
        hooks.step_reported(info=info, generation=0, row=0, step=step, entry="0-es", report=report)
    hooks.generation_finished(info=info, record=make_generation(generation=0))
    hooks.step_reported(info=info, generation=1, row=0, step=3, entry="0-es", report={"cosine": 3})
    hooks.generation_finished(info=info, record=make_generation(generation=1))
    events = read(info.folder)
    assert series(events, "es/cosine") == [(0, 0.5), (1, 3.0)]
    assert series(events, "es/alarm") == [(0, 0.5)]
    assert {tag for tag in events.Tags()["scalars"] if tag.startswith("es/")} == {"es/alarm", "es/cosine"}


def test_what_is_unknown_is_left_out_and_nan_is_kept(make_info, make_generation):
    info = make_info(1)
    hook = start(info)
    hook.generation_finished(info=info, record=make_generation(0, 1, fitness=(None,), train=math.nan, failed=(0,)))
    hook.run_failed(info=info, error=ValueError())
    events = read(info.folder)
    assert math.isnan(series(events, "loss/expert_00")[0][1])
    assert series(events, "population/failed") == [(0, 1.0)]
    tags = events.Tags()["scalars"]
    assert not [tag for tag in tags if tag.startswith(("best/", "validation/", "jump/"))]


def test_names_sort_by_row_in_a_large_population(make_info, make_generation):
    info = make_info(101)
    hook = start(info)
    hook.generation_finished(info=info, record=make_generation(0, 101))
    hook.run_failed(info=info, error=ValueError())
    tags = [tag for tag in read(info.folder).Tags()["scalars"] if tag.startswith("validation/")]
    assert sorted(tags) == [f"validation/expert_{row:03d}" for row in range(101)]


def test_a_continued_run_hides_the_generations_it_computes_again(make_info, make_generation):
    first = make_info()
    hook = start(first)
    for generation in range(6):
        hook.generation_finished(info=first, record=make_generation(generation, fitness=(9.0, 9.0, 9.0)))
    # The process dies here: the file is not closed, and generations 3 to 5 are in no checkpoint.
    again = make_info(first=3)
    hook = start(again)
    for generation in range(3, 6):
        hook.generation_finished(info=again, record=make_generation(generation))
    hook.run_failed(info=again, error=ValueError())
    assert series(read(first.folder), "best/loss") == [(step, 9.0 if step < 3 else 4.0) for step in range(6)]


def test_every_generation_is_on_disk_when_the_next_begins(make_info, make_generation):
    info = make_info()
    hook = start(info)
    for generation in range(2):
        hook.generation_finished(info=info, record=make_generation(generation))
        assert len(series(read(info.folder), "best/loss")) == generation + 1
    hook.run_failed(info=info, error=ValueError())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_disk_that_refuses_to_write_costs_one_warning_and_not_the_run(
    make_info, make_generation, make_result, caplog
):
    others = set(threading.enumerate())
    info = make_info()
    hook = start(info)
    hook.generation_finished(info=info, record=make_generation(0))
    shutil.rmtree(info.folder / "tb")
    with caplog.at_level(logging.WARNING):
        for generation in range(1, 4):
            hook.generation_finished(info=info, record=make_generation(generation))
        hook.run_finished(info=info, result=make_result())
    for thread in set(threading.enumerate()) - others:
        thread.join(timeout=10)  # the writer's thread reports its error in this test, not in a later one
    assert len(caplog.records) == 1
    assert "TensorBoard files cannot be written" in caplog.text
    assert "metrics.jsonl has every figure" in caplog.text


def test_a_folder_that_cannot_be_made_costs_one_warning_and_not_the_run(make_info, make_generation, caplog):
    info = make_info()
    info.folder.mkdir()
    (info.folder / "tb").write_text("a file in the way")
    with caplog.at_level(logging.WARNING):
        hook = start(info)
        hook.generation_finished(info=info, record=make_generation(0))
    assert len(caplog.records) == 1


def test_the_ledger_and_the_credit_of_operators_are_written(make_info, make_generation):
    info = make_info()
    hooks = start(info)
    record = make_generation(0)
    ledger = {"tokens": 8, "flops": 9, "seconds": 1.0, "bytes_moved": None, "peak_memory_bytes": 5, "joules": 2.5}
    losses = [(3.0, 2.0, 2.5), (3.0, 1.0, 1.25)]
    varied = tuple(dataclasses.replace(each, losses=some) for each, some in zip(record.varied, losses, strict=True))
    hooks.generation_finished(info=info, record=dataclasses.replace(record, ledger=ledger, varied=varied))
    events = read(info.folder)
    assert series(events, "ledger/flops") == [(0, 9.0)] and series(events, "ledger/joules") == [(0, 2.5)]
    assert series(events, "credit/pso") == [(0, -1.5)] and series(events, "credit/crossover") == [(0, 0.375)]
    tags = {tag for tag in events.Tags()["scalars"] if tag.startswith("ledger/")}
    assert tags == {"ledger/tokens", "ledger/flops", "ledger/joules"}
