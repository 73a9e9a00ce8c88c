"""What is saved comes back as it was; the last few stay; unchanged files are shared without risk."""

import math
import threading

import pytest
import torch
from disk_faults import files_of, save
from hypothesis import given, settings
from hypothesis import strategies as st

from evoweights.errors import CheckpointError, ResourceError, UsageError
from evoweights.storage import checkpoints
from evoweights.storage.checkpoints import CheckpointStore


def steps(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_tensors_state_and_environment_come_back_exactly(tmp_path):
    tensors = {
        "weights": torch.randn(1000, generator=torch.Generator().manual_seed(1)),
        "half": torch.tensor([1.5, -0.0, math.inf]).bfloat16(),
        "rng": torch.arange(16, dtype=torch.uint8),
        "count": torch.tensor(7),
    }
    state = {
        "loss": 0.1 + 0.2,
        "unknown": math.nan,
        "worst": -math.inf,
        "rows": [1, None, True, "x"],
        "deep": {"a": {}},
    }
    store = CheckpointStore(tmp_path)
    folder = store.save(12, {"individuals/0003": lambda: tensors}, state, environment={"torch": "2.13"})
    assert folder == tmp_path / "step-000000012"
    found = CheckpointStore(tmp_path).latest()
    assert found is not None and (found.step, found.folder) == (12, folder)
    assert found.names == ("individuals/0003",) and found.environment == {"torch": "2.13"}
    assert repr(found.state) == repr(state)
    loaded = found.tensors("individuals/0003")
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype and loaded[name].shape == tensor.shape
        assert torch.equal(loaded[name].reshape(-1).view(torch.uint8), tensor.reshape(-1).view(torch.uint8))


def test_the_same_content_gives_the_same_bytes(tmp_path):
    folders = [save(CheckpointStore(tmp_path / name), 1) for name in ("a", "b")]
    contents = [
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
        for folder in folders
    ]
    assert contents[0] == contents[1] and len(contents[0]) == 4


def test_no_checkpoint_is_none(tmp_path):
    assert CheckpointStore(tmp_path / "none").latest() is None
    assert CheckpointStore(tmp_path / "none").verify() == []


def test_tensors_are_made_one_file_at_a_time(tmp_path):
    made: list[str] = []

    def maker(name: str):
        def make():
            made.append(name)
            written = list(tmp_path.glob(".staging-*/*.safetensors"))
            assert len(written) == len(made) - 1
            return {"weights": torch.zeros(4)}

        return make

    CheckpointStore(tmp_path).save(1, {name: maker(name) for name in "abc"}, {})
    assert made == ["a", "b", "c"]


def test_a_loaded_tensor_may_be_written_to(tmp_path):
    store = CheckpointStore(tmp_path)
    save(store, 1)
    found = store.latest()
    assert found is not None
    found.tensors("individuals/0000")["weights"].fill_(9.0)
    assert store.verify()[0].ok
    assert found.tensors("individuals/0000")["weights"].tolist() == [1.0] * 9


def test_a_loaded_tensor_outlives_its_checkpoint(tmp_path):
    store = CheckpointStore(tmp_path)
    save(store, 1)
    found = store.latest()
    assert found is not None
    weights = found.tensors("individuals/0000")["weights"]
    for step in (2, 3, 4):
        save(store, step)
    assert not found.folder.exists() and weights.tolist() == [1.0] * 9


@pytest.mark.parametrize("keep", [2, 3])
def test_the_last_few_stay(tmp_path, keep):
    store = CheckpointStore(tmp_path, keep=keep)
    for step in (10, 20, 30, 40, 50):
        save(store, step)
    assert steps(tmp_path) == [f"step-0000000{step}" for step in (10, 20, 30, 40, 50)[-keep:]]


def test_fewer_than_two_are_never_kept(tmp_path):
    with pytest.raises(UsageError, match=r"checkpoint\.keep: 1 is too few; at least 2, as one may be damaged"):
        CheckpointStore(tmp_path, keep=1)


def test_what_was_not_verified_does_not_count_among_those_kept(tmp_path):
    for step in (1, 2, 3):
        save(CheckpointStore(tmp_path), step)
    (tmp_path / "step-000000003" / "state.json").write_text("{}")
    store = CheckpointStore(tmp_path)
    save(store, 4)
    assert len(steps(tmp_path)) == 4
    save(store, 5)
    assert steps(tmp_path) == ["step-000000004", "step-000000005"]


def test_other_files_in_the_folder_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "step-7").mkdir()
    store = CheckpointStore(tmp_path)
    for step in (1, 2, 3):
        save(store, step)
    assert steps(tmp_path) == ["notes.txt", "step-000000002", "step-000000003", "step-7"]


def test_left_overs_of_dead_processes_go_with_the_next_save(tmp_path):
    for name in (".staging-4-1-aa", ".trash-step-000000001.bb", ".tmp-x-1-cc"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "file").write_text("half")
    save(CheckpointStore(tmp_path), 5)
    assert steps(tmp_path) == ["step-000000005"]


def test_unchanged_files_are_shared_with_the_last_checkpoint_but_one(tmp_path):
    store = CheckpointStore(tmp_path)
    inodes = {}
    for step in range(1, 6):
        path = save(store, step) / "individuals"
        inodes[step] = (path / "0001.safetensors").stat().st_ino
        assert (path / "0000.safetensors").stat().st_nlink == 1
    assert inodes[1] == inodes[3] == inodes[5] and inodes[2] == inodes[4] != inodes[1]
    assert [verdict.ok for verdict in store.verify()] == [True, True]


def test_an_unchanged_file_is_made_again_where_it_cannot_be_shared(tmp_path):
    store = CheckpointStore(tmp_path)
    for step in (1, 2):
        save(store, step)
    (tmp_path / "step-000000001" / "individuals" / "0001.safetensors").unlink()
    save(store, 3)
    assert [verdict.ok for verdict in store.verify()] == [True, True]


def test_a_file_that_changed_in_between_is_not_shared_with_what_it_was(tmp_path):
    store = CheckpointStore(tmp_path)
    for step, value in ((1, 1.0), (2, 2.0), (3, 2.0)):
        store.save(
            step, {"a": lambda value=value: {"x": torch.tensor(value)}}, {}, unchanged=["a"] if step == 3 else []
        )
    found = store.latest()
    assert found is not None and found.tensors("a")["x"] == 2.0


def test_what_is_called_unchanged_in_the_first_save_of_a_process_is_written(tmp_path):
    save(CheckpointStore(tmp_path), 1)
    save(CheckpointStore(tmp_path), 2)
    found = CheckpointStore(tmp_path).latest()
    assert found is not None and found.step == 2


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    st.one_of(st.text(max_size=20), st.sampled_from(["../x", "/x", "a/../b", "a//b", ".x", "a/.b", "x" * 300, "a\0b"]))
)
def test_a_file_name_never_leaves_the_checkpoint(tmp_path_factory, name):
    folder = tmp_path_factory.getbasetemp() / "named-files" / "checkpoints"
    store = CheckpointStore(folder)
    try:
        target = store.save(1, {name: lambda: {"../../tensor": torch.zeros(1)}}, {})
    except CheckpointError as error:
        assert f"{name!r} cannot name a file of a checkpoint; use A-Z" in str(error)
    else:
        assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/")
        found = store.latest()
        assert found is not None and found.names == (name.removesuffix(".safetensors"),)
        assert found.tensors(name).keys() == {"../../tensor"}
        assert target.parent == folder
    assert [path.name for path in folder.parent.iterdir()] == ["checkpoints"]


def test_a_file_that_is_not_in_the_checkpoint_is_refused_though_it_lies_there(tmp_path):
    store = CheckpointStore(tmp_path)
    folder = save(store, 1)
    (folder / "planted.safetensors").write_bytes((folder / "individuals" / "0001.safetensors").read_bytes())
    found = store.latest()
    assert found is not None
    with pytest.raises(CheckpointError, match=r"has no planted\.safetensors; it has individuals/0000"):
        found.tensors("planted")


def test_too_little_space_is_said_before_anything_is_written(tmp_path):
    store = CheckpointStore(tmp_path / "later")
    store.check_space(1)
    with pytest.raises(ResourceError, match=r"GB must be free and .* GB are. Free space, or choose"):
        store.check_space(10**18)
    assert not (tmp_path / "later").exists()


def test_a_state_that_would_not_come_back_is_refused_and_says_where(tmp_path):
    store = CheckpointStore(tmp_path)
    for state, where in (
        ({"a": {1: 2}}, r"\$\.a: the key 1 would not come back as it is; use another"),
        ({"a": [{"b": torch.zeros(1)}]}, r"\$\.a\[0\]\.b: Tensor is no JSON value; give text"),
    ):
        with pytest.raises(TypeError, match=where):
            store.save(1, files_of(1), state)
    assert steps(tmp_path) == []


def test_verifying_sizes_alone_finds_a_short_file_and_reads_no_content(tmp_path):
    store = CheckpointStore(tmp_path)
    folder = save(store, 1)
    state = folder / "state.json"
    state.write_bytes(b"?" * state.stat().st_size)
    assert store.verify(digests=False)[0].ok and not store.verify()[0].ok
    state.write_bytes(b"")
    assert not store.verify(digests=False)[0].ok


class _Dropping(CheckpointStore):
    """A reader during whose look at a checkpoint a running process saves new ones, and so drops the old."""

    def __init__(self, folder, *, saves):
        super().__init__(folder, read_only=True)
        self.writer, self.saves, self.number = CheckpointStore(folder), saves, 10

    def _listed(self):
        for listed in list(super()._listed()):
            for _ in range(self.saves):
                self.number += 1
                save(self.writer, self.number)
            yield listed
            self.saves = 0


@pytest.mark.parametrize("saves", [1, 2, 3])
def test_a_checkpoint_that_a_running_process_drops_while_it_is_read_is_not_called_damaged(tmp_path, saves):
    for step in (1, 2):
        save(CheckpointStore(tmp_path), step)
    verdicts = _Dropping(tmp_path, saves=saves).verify()
    assert verdicts and all(each.ok for each in verdicts)


@pytest.mark.parametrize("saves", [1, 2, 3])
def test_the_newest_checkpoint_beside_a_running_process_is_one_that_is_there(tmp_path, saves):
    for step in (1, 2):
        save(CheckpointStore(tmp_path), step)
    skipped = []
    found = _Dropping(tmp_path, saves=saves).latest(on_skip=skipped.append)
    assert found is not None and found.folder.exists() and skipped == []


def test_a_checkpoint_that_is_dropped_before_it_is_opened_gives_way_to_a_newer_one(tmp_path, monkeypatch):
    store = CheckpointStore(tmp_path)
    save(store, 1)
    load, opened = checkpoints.load, []

    def slow_load(folder, step, manifest):
        opened.append(step)
        for newer in (2, 3) if step == 1 else ():
            save(store, newer)
        return load(folder, step, manifest)

    monkeypatch.setattr(checkpoints, "load", slow_load)
    found = CheckpointStore(tmp_path, read_only=True).latest()
    assert found is not None and found.step == 3 and opened == [1, 3]


def test_a_checkpoint_that_is_dropped_after_it_was_verified_says_so_and_not_that_it_is_damaged(tmp_path):
    store = CheckpointStore(tmp_path)
    save(store, 1)
    found = CheckpointStore(tmp_path, read_only=True).latest()
    for step in (2, 3):
        save(store, step)
    with pytest.raises(CheckpointError, match="made way for newer checkpoints while it was read"):
        found.tensors("individuals/0000")


def test_a_reader_beside_a_running_process_sees_only_whole_checkpoints(tmp_path):
    store, done = CheckpointStore(tmp_path), threading.Event()
    save(store, 0)

    def go_on():
        step = 0
        while not done.is_set():
            step += 1
            save(store, step)

    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        reader, skipped = CheckpointStore(tmp_path, read_only=True), []
        for _ in range(100):
            assert all(each.ok for each in reader.verify())
            assert reader.latest(on_skip=skipped.append) is not None and skipped == []
    finally:
        done.set()
        writer.join()
