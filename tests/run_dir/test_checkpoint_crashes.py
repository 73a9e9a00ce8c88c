"""A save may end at any call that touches the disk: afterwards the old or the new checkpoint is there, whole."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from disk_faults import files_of, fresh_copies, save

from evoweights.errors import ResourceError
from evoweights.storage.checkpoints import CheckpointStore
from evoweights.testing.faults import PowerCut, faulty_disk, lose


@pytest.fixture(autouse=True)
def healthy_disk():
    """A disk without faults where a test puts in none."""
    with faulty_disk():
        yield


def prepare(folder: Path, scenario: str) -> tuple[int, list[object]]:
    """Checkpoints as they are before the save; its step, and the marks that are right to find after a crash in it."""
    store = CheckpointStore(folder)
    folder.mkdir()
    if scenario == "first":
        return 1, [None, "new"]
    save(store, 1, "one")
    if scenario == "same step":
        return 1, ["one", "new"]
    save(store, 2, "two")
    save(store, 3, "three")
    return 4, ["three", "new"]


def state_after(folder: Path) -> object:
    """The mark of the checkpoint that a new process finds; it must find one without skipping any."""
    found = CheckpointStore(folder).latest(on_skip=pytest.fail)
    if found is None:
        return None
    weights = found.tensors("individuals/0000")["weights"]
    assert torch.equal(weights, torch.full((9,), float(found.step)))
    return found.state["mark"]


def reopened(folder: Path) -> CheckpointStore:
    """A store as the next process has it, with the last three checkpoints known."""
    store = CheckpointStore(folder)
    store.latest(on_skip=pytest.fail)
    return store


@pytest.mark.parametrize("torn", [False, True], ids=["cut between calls", "cut within a write"])
@pytest.mark.parametrize("scenario", ["first", "next", "same step"])
def test_a_crash_at_any_call_leaves_the_old_or_the_new_checkpoint(tmp_path, scenario, torn):
    step, allowed = prepare(tmp_path / "template", scenario)
    seen = set()
    for number, folder in fresh_copies(tmp_path / "template", tmp_path):
        store = reopened(folder)
        with faulty_disk(cut_at=number, torn=torn) as disk:
            try:
                save(store, step, "new")
                break
            except PowerCut:
                if torn and disk.calls[number][0] != "write":
                    continue
        mark = state_after(folder)
        assert mark in allowed, f"call {number} {disk.calls[number]}: {mark}"
        seen.add(mark)
        save(reopened(folder), step + 1, "later")
        assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]
        assert state_after(folder) == "later"
    assert number > 20
    assert seen == set(allowed) if not torn else seen == {allowed[0]}


@pytest.mark.parametrize("how", ["absent", "truncated", "zeroed"])
def test_a_power_cut_at_any_call_that_takes_all_unsynced_data_leaves_the_old_or_the_new(tmp_path, how):
    step, allowed = prepare(tmp_path / "template", "next")
    for number, folder in fresh_copies(tmp_path / "template", tmp_path):
        store = reopened(folder)
        with faulty_disk(cut_at=number) as disk:
            try:
                save(store, step, "new")
                break
            except PowerCut:
                lose(folder, disk.unsynced, how)
        assert state_after(folder) in allowed, f"call {number} {disk.calls[number]}"
    assert number > 20


@pytest.mark.parametrize("how", ["absent", "truncated", "zeroed"])
def test_a_disk_that_only_pretends_to_sync_is_found_out_and_the_checkpoint_before_is_used(tmp_path, how):
    store = CheckpointStore(tmp_path)
    save(store, 1)
    with faulty_disk(lies=True) as disk:
        save(store, 2)
    hit = lose(tmp_path, disk.unsynced, how)
    assert len(hit) == 4
    skipped: list[str] = []
    found = CheckpointStore(tmp_path).latest(on_skip=skipped.append)
    assert found is not None and found.step == 1
    assert len(skipped) == 1 and "step-000000002" in skipped[0] and "MANIFEST.json" in skipped[0]


def test_names_reach_the_disk_before_anything_old_is_removed(tmp_path):
    store = CheckpointStore(tmp_path)
    for step in (1, 2):
        save(store, step)
    with faulty_disk() as disk:
        save(store, 3)
    steps = [index for index, (name, what) in enumerate(disk.calls) if name == "rename" and ".staging" in str(what[0])]
    removals = [index for index, (name, _) in enumerate(disk.calls) if name in ("unlink", "rmdir")]
    opened = [index for index, (name, what) in enumerate(disk.calls) if name == "open" and what[0] == tmp_path]
    assert len(steps) == 1 and removals
    assert any(steps[0] < index < removals[0] for index in opened)
    assert not disk.unsynced


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_an_error_at_any_call_leaves_the_checkpoint_before_and_the_next_save_succeeds(tmp_path, error):
    step, allowed = prepare(tmp_path / "template", "next")
    failures = 0
    for number, folder in fresh_copies(tmp_path / "template", tmp_path):
        store = reopened(folder)
        with faulty_disk(fail_at=number, error=error, torn=True) as disk:
            try:
                save(store, step, "new")
                if len(disk.calls) <= number:
                    break
            except ResourceError as failure:
                failures += 1
                assert os.strerror(error) in str(failure) and "step-000000004" in str(failure)
        assert not list(folder.glob(".staging-*"))
        assert state_after(folder) in allowed
        save(store, step, "retried")
        assert state_after(folder) == "retried"
    assert failures > 20


def test_a_limit_on_file_sizes_is_reported_and_nothing_of_the_checkpoint_stays(tmp_path):
    store = CheckpointStore(tmp_path)
    save(store, 1)
    before = sorted(tmp_path.rglob("*"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(ResourceError, match="step-000000002 could not be written: File too large"):
            store.save(2, {"big": lambda: {"weights": torch.zeros(100_000)}}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(tmp_path.rglob("*")) == before
    assert state_after(tmp_path) == ""


def test_an_exception_while_tensors_are_made_removes_what_was_staged(tmp_path):
    store = CheckpointStore(tmp_path)
    save(store, 1)

    def interrupted() -> dict[str, torch.Tensor]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.save(2, {**files_of(2), "last": interrupted}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001"]


def test_saving_again_after_the_folder_vanished_works(tmp_path):
    folder = tmp_path / "checkpoints"
    store = CheckpointStore(folder)
    save(store, 1)
    (folder / "step-000000001").rename(tmp_path / "elsewhere")
    folder.rmdir()
    save(store, 2)
    assert [verdict.ok for verdict in store.verify()] == [True]


KILLED_SAVES = """
import os, signal, sys
from pathlib import Path
from disk_faults import save
from evoweights.testing.faults import CHANGES
from evoweights.storage import durable
from evoweights.storage.checkpoints import CheckpointStore

class Deadly:
    def __init__(self, calls):
        self.left = calls
    def __getattr__(self, name):
        real = getattr(os, name)
        def call(*arguments, **options):
            self.left -= 1
            if self.left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)
        return call if name in CHANGES else real

folder = Path(sys.argv[1])
store = CheckpointStore(folder)
save(store, 1)
killed = 0
for calls in range(1000):
    child = os.fork()
    if child == 0:
        durable.os = Deadly(calls)
        save(store, 2)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
    killed += 1
    found = CheckpointStore(folder).latest(on_skip=sys.exit)
    assert found.step in (1, 2), calls
print(killed, found.step)
"""


def test_a_process_killed_at_any_call_leaves_the_old_or_the_new_checkpoint(tmp_path):
    search = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": search}
    done = subprocess.run(
        [sys.executable, "-c", KILLED_SAVES, str(tmp_path)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    killed, step = map(int, done.stdout.split())
    assert killed > 20 and step == 2
