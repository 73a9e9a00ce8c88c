"""The same command continues a run; anything else is refused with what to do, and nothing of it is lost."""

import json
import math
import os

import pytest
import torch
from disk_faults import fresh_copies, save
from hypothesis import given, settings
from hypothesis import strategies as st

from evoweights.errors import CheckpointError, ResourceError, RunInUseError, UsageError
from evoweights.storage import journal
from evoweights.storage.run_dir import RunDirectory, RunFinished
from evoweights.testing.faults import PowerCut, faulty_disk

CONFIG = "name: trial\nseed: 42\ngenerations: 40\n"


def start(output, name="trial", *, config=CONFIG, **options) -> RunDirectory:
    return RunDirectory.open(
        output, name, config_text=config, overrides=["seed=42"], environment={"torch": "2.13"}, **options
    )


def test_a_new_run_writes_down_what_it_is(tmp_path):
    with start(tmp_path / "runs") as run:
        assert run.folder == tmp_path / "runs" / "trial" and run.name == "trial"
        assert (run.folder / "config.yaml").read_text() == CONFIG == run.config_text
        assert (run.folder / "overrides.txt").read_text() == "seed=42\n"
        assert json.loads((run.folder / "environment.json").read_text()) == {"torch": "2.13"}
        assert run.log_path.name == "log.txt" and run.tensorboard_folder.name == "tb"


def test_the_same_command_continues_where_the_checkpoint_is(tmp_path):
    with start(tmp_path) as run:
        for generation in range(5):
            run.append_metrics({"generation": generation, "loss": math.nan})
            run.append_lineage({"generation": generation, "id": generation})
            if generation in (1, 2):
                save(run.checkpoints, generation)
        run.fail("a plugin raised")
    with start(tmp_path) as run:
        assert not (run.folder / "FAILED").exists()
        found = run.checkpoints.latest()
        assert found is not None and found.step == 2
        run.rewind(3, 100)
        assert [line["generation"] for line in run.read_metrics()] == [0, 1, 2]
        assert [line["id"] for line in journal.records(run.folder / "lineage.jsonl")] == [0, 1, 2]
        assert all(math.isnan(line["loss"]) for line in run.read_metrics())


def test_records_are_on_the_disk_before_the_checkpoint_that_follows_from_them(tmp_path):
    with start(tmp_path) as run:
        with faulty_disk() as disk:
            run.append_metrics({"generation": 0})
            run.append_lineage({"generation": 0})
            assert len(disk.unsynced) == 2
            save(run.checkpoints, 1)
        assert not disk.unsynced


def test_a_finished_run_says_so_where_its_best_is_and_how_to_start_another(tmp_path):
    with start(tmp_path) as run:
        run.finish("40 generations, best loss 3.21")
    with pytest.raises(RunFinished) as raised:
        start(tmp_path)
    message = str(raised.value)
    assert raised.value.exit_code == 0
    for part in ("trial is finished: 40 generations, best loss 3.21", str(run.best_folder), "--fresh"):
        assert part in message
    assert RunDirectory.read(run.folder).holder is None


def begin(tmp_path):
    """A run that has something to lose."""
    with start(tmp_path) as run:
        run.append_metrics({"generation": 0})


def test_a_run_that_ended_before_its_first_generation_gives_way_to_a_corrected_configuration(tmp_path):
    start(tmp_path).close()
    with start(tmp_path, config=CONFIG.replace("42", "43")) as run:
        assert "seed: 43" in run.config_text


def test_another_configuration_is_refused_and_the_difference_shown(tmp_path):
    begin(tmp_path)
    with pytest.raises(UsageError) as raised:
        start(tmp_path, config="name: trial\nseed: 43\ngenerations: 40\nnew: 1\n")
    message = str(raised.value)
    for part in ("-seed: 42", "+seed: 43", "+new: 1", "evoweights resume", "--fresh"):
        assert part in message
    assert "generations" not in message


def test_a_long_difference_is_cut(tmp_path):
    begin(tmp_path)
    with pytest.raises(UsageError) as raised:
        start(tmp_path, config="".join(f"key{index}: 1\n" for index in range(100)))
    assert len(str(raised.value).splitlines()) < 25 and "and 82 lines more" in str(raised.value)


def test_a_fresh_run_is_made_beside_those_that_exist_and_can_be_continued_by_its_name(tmp_path):
    assert start(tmp_path, fresh=True).name == "trial"
    for number in (2, 3):
        with start(tmp_path, fresh=True) as run:
            assert run.name == f"trial-{number}"
            run.append_metrics({"generation": 0})
    with start(tmp_path, "trial-3", config=CONFIG.replace("trial", "trial-3")) as run:
        assert len(list(run.read_metrics())) == 1


def test_a_folder_that_is_no_run_is_refused_untouched(tmp_path):
    (tmp_path / "trial").mkdir()
    (tmp_path / "trial" / "thesis.tex").write_text("years of work")
    with pytest.raises(
        UsageError,
        match=r"no run \(it has no config\.yaml\) but holds thesis\.tex; nothing is changed\. Choose another name",
    ):
        start(tmp_path)
    assert os.listdir(tmp_path / "trial") == ["thesis.tex"]
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match=r"is a file, not a run directory. Choose another"):
        start(tmp_path, "file")


def test_a_folder_with_the_configuration_of_something_else_is_refused_untouched(tmp_path):
    (tmp_path / "trial").mkdir()
    (tmp_path / "trial" / "config.yaml").write_text("model_type: other\n")
    with pytest.raises(UsageError, match="was started with another configuration"):
        start(tmp_path)
    assert os.listdir(tmp_path / "trial") == ["config.yaml"]


def test_an_empty_folder_becomes_the_run(tmp_path):
    (tmp_path / "trial").mkdir()
    start(tmp_path).close()
    assert (tmp_path / "trial" / "config.yaml").exists()


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "a/b", "../a", "/a", "a b", "a\0", "a\n", "x" * 65, "\u00e4"]
)
def test_a_name_that_is_no_plain_folder_name_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="cannot name a run; use 1 to 64 of A-Z"):
        start(tmp_path / "runs", name)
    assert os.listdir(tmp_path) == []


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.text(max_size=70))
def test_any_name_is_refused_or_is_a_folder_in_the_output(tmp_path_factory, name):
    output = tmp_path_factory.getbasetemp() / "named"
    try:
        with start(output, name) as run:
            assert run.folder.parent == output and run.folder.name == name and 1 <= len(name) <= 64
    except UsageError as error:
        assert repr(name) in str(error)


def test_a_crash_at_any_call_while_a_run_is_made_is_mended_by_the_same_command(tmp_path):
    (tmp_path / "template").mkdir()
    for number, output in fresh_copies(tmp_path / "template", tmp_path):
        with faulty_disk(cut_at=number, torn=True):
            try:
                start(output).close()
                break
            except PowerCut:
                pass
        with faulty_disk():
            start(output).close()
        assert (output / "trial" / "config.yaml").read_text() == CONFIG
        assert not list((output / "trial").glob(".tmp*"))
    assert number > 20


def test_a_crash_at_any_call_while_a_run_is_continued_loses_nothing(tmp_path):
    with start(tmp_path / "template") as run:
        run.append_metrics({"generation": 0})
        save(run.checkpoints, 1)
        run.save_best({"weights": torch.ones(2)}, {"fitness": 1.0})
        run.fail("out of memory")
    for number, output in fresh_copies(tmp_path / "template", tmp_path):
        with faulty_disk(cut_at=number):
            try:
                start(output).close()
                break
            except PowerCut:
                pass
        read = RunDirectory.read(output / "trial")
        assert (
            read.status().step == 1 and len(list(read.read_metrics())) == 1 and read.load_best()[1] == {"fitness": 1.0}
        )
    assert number > 8


def test_what_a_killed_process_left_is_gone_after_the_next_start(tmp_path):
    with start(tmp_path) as run:
        save(run.checkpoints, 1)
    for place in (run.folder, run.checkpoints.folder):
        for name in (".staging-9-1-aa", ".trash-x.bb"):
            (place / name).mkdir()
            (place / name / "file").write_text("half")
    (run.folder / ".tmp-DONE-1-cc").write_text("half")
    (run.folder / "metrics.jsonl").write_text('{"generation": 0}\n{"gener')
    with start(tmp_path) as run:
        run.append_metrics({"generation": 1})
        assert [line["generation"] for line in run.read_metrics()] == [0, 1]
        found = run.checkpoints.latest()
        assert found is not None and found.step == 1
    left = [path.name for path in run.folder.rglob("*") if path.name.startswith((".staging", ".trash", ".tmp"))]
    assert left == []


def test_a_full_disk_is_an_error_that_says_so_and_no_half_record_stays(tmp_path):
    with start(tmp_path) as run:
        run.append_metrics({"generation": 0})
        full = pytest.raises(ResourceError, match=r"metrics\.jsonl could not be written: No space left")
        with faulty_disk(fail_at=1, torn=True), full:
            run.append_metrics({"generation": 1})
        run.append_metrics({"generation": 2})
        assert [line["generation"] for line in run.read_metrics()] == [0, 2]


def test_a_run_can_be_read_while_it_is_written(tmp_path):
    with start(tmp_path) as run:
        run.append_metrics({"generation": 0})
        run.save_best({"weights": torch.ones(2)}, {"fitness": 1.5})
        save(run.checkpoints, 1)
        read = RunDirectory.read(run.folder)
        assert list(read.read_metrics()) == [{"generation": 0}]
        assert read.load_best()[1] == {"fitness": 1.5}
        found = read.checkpoints.latest()
        assert found is not None and found.step == 1
        assert read.status().state == "running" and read.holder == run.holder
        read.close()
        with pytest.raises(RunInUseError, match=r"is in use by process .*Wait for it, stop it, or start"):
            start(tmp_path)


def test_reading_what_is_no_run_names_runs_that_are_near(tmp_path):
    start(tmp_path, "eoe_gpt2").close()
    with pytest.raises(UsageError, match=r"is no run.*Did you mean 'eoe_gpt2'\?"):
        RunDirectory.read(tmp_path / "eoe_gpt")


def test_the_status_tells_every_state(tmp_path):
    run = start(tmp_path)
    read = RunDirectory.read(run.folder)
    states = [read.status()]
    run.close()
    states.append(read.status())
    with start(tmp_path) as run:
        run.append_metrics({"generation": 0, "loss": 2.0})
        save(run.checkpoints, 7)
    states.append(read.status())
    run = start(tmp_path)
    run.fail("the disk was full")
    run.close()
    states.append(read.status())
    with start(tmp_path) as run:
        run.finish("done well")
    states.append(read.status())
    assert [each.state for each in states] == ["running", "new", "stopped", "failed", "finished"]
    assert [each.step for each in states] == [None, None, 7, 7, 7]
    assert [each.is_resumable for each in states] == [False, True, True, True, False]
    assert {each.reached for each in states} == {None}  # the state of these checkpoints does not say
    assert [each.note for each in states] == ["", "", "", "the disk was full", "done well"]
    assert states[0].holder is not None and states[0].holder.pid == os.getpid()
    assert states[-1].metrics == {"generation": 0, "loss": 2.0} and states[-1].holder is None


def test_the_status_names_damaged_checkpoints_and_what_is_left(tmp_path):
    with start(tmp_path) as run:
        save(run.checkpoints, 1)
        save(run.checkpoints, 2)
    os.truncate(run.checkpoints.folder / "step-000000002" / "state.json", 1)
    status = RunDirectory.read(run.folder).status()
    assert status.step == 1 and status.is_resumable
    assert len(status.problems) == 1 and "step-000000002: state.json has 1 bytes" in status.problems[0]
    os.truncate(run.checkpoints.folder / "step-000000001" / "state.json", 1)
    status = RunDirectory.read(run.folder).status()
    assert status.step is None and not status.is_resumable
    with start(tmp_path) as run, pytest.raises(CheckpointError, match="--fresh"):
        run.checkpoints.latest()
