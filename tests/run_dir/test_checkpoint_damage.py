"""Whatever happens to the files of a checkpoint is found, named, and the one before it is used."""

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from disk_faults import save
from hypothesis import given, settings
from hypothesis import strategies as st

from evoweights.errors import CheckpointError, ResourceError
from evoweights.storage import durable
from evoweights.storage.checkpoints import CheckpointStore
from evoweights.storage.manifest import MANIFEST
from evoweights.testing.faults import DiskCall, faulty_disk, flip_bit

FILES = ("individuals/0000.safetensors", "individuals/0001.safetensors", "state.json", MANIFEST)


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    store = CheckpointStore(folder, keep=3)
    for step in (1, 2, 3):
        save(store, step)
    return folder


@pytest.fixture
def folder(template, tmp_path) -> Path:
    return shutil.copytree(template, tmp_path / "checkpoints")


def latest_skipping(folder: Path, *, file: str) -> list[str]:
    """What is said when a new process looks for the newest checkpoint, which must be step 2, as ``file`` is damaged."""
    skipped: list[str] = []
    found = CheckpointStore(folder).latest(on_skip=skipped.append)
    assert found is not None and found.step == 2 and found.state["step"] == 2
    assert len(skipped) == 1 and f"step-000000003 is damaged and skipped: {file} " in skipped[0]
    assert "step 2 is used" in skipped[0]
    return skipped


def rewrite(manifest: Path, change: dict[str, object]) -> None:
    """Change a manifest as somebody would who can also make its own digest right."""
    content = json.loads(manifest.read_bytes()) | change | {"manifest_sha256": "0" * 64}
    text = json.dumps(content)
    manifest.write_text(text.replace("0" * 64, hashlib.sha256(text.encode()).hexdigest()))


@settings(max_examples=150, derandomize=True, deadline=None)
@given(data=st.data())
def test_one_flipped_bit_anywhere_is_found_and_the_checkpoint_before_is_used(template, tmp_path_factory, data):
    file = data.draw(st.sampled_from(FILES))
    position = data.draw(st.integers(0, 8 * (template / "step-000000003" / file).stat().st_size - 1))
    folder = tmp_path_factory.getbasetemp() / "flipped"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder)
    flip_bit(folder / "step-000000003" / file, position)
    latest_skipping(folder, file=file)
    assert len(list(folder.glob(".damaged-step-000000003.*"))) == 1


@pytest.mark.parametrize("file", FILES)
def test_a_flipped_bit_in_any_byte_is_found(folder, file):
    path = folder / "step-000000003" / file
    for index in range(path.stat().st_size):
        flip_bit(path, 8 * index + index % 8)
        verdict = CheckpointStore(folder).verify()[0]
        assert not verdict.ok and verdict.problems[0].startswith(f"{file} "), index
        flip_bit(path, 8 * index + index % 8)


@pytest.mark.parametrize("file", FILES)
def test_a_file_cut_off_anywhere_is_found(folder, file):
    path = folder / "step-000000003" / file
    content = path.read_bytes()
    for size in sorted({len(content) * part // 50 for part in range(50)}):
        path.write_bytes(content[:size])
        verdict = CheckpointStore(folder).verify()[0]
        assert not verdict.ok and verdict.problems[0].startswith(f"{file} "), size
    latest_skipping(folder, file=file)


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_found(folder, file):
    (folder / "step-000000003" / file).unlink()
    assert "is missing" in latest_skipping(folder, file=file)[0]


@pytest.mark.parametrize("file", FILES)
def test_a_link_in_the_place_of_a_file_is_not_followed(folder, file, tmp_path):
    path = folder / "step-000000003" / file
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    latest_skipping(folder, file=file)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"null", b"\x00" * 300, b"[" * 100_000, b'{"manifest_sha256": "' + b"0" * 64 + b'"}']
)
def test_what_is_no_manifest_is_found(folder, content):
    (folder / "step-000000003" / MANIFEST).write_bytes(content)
    latest_skipping(folder, file=MANIFEST)


@pytest.mark.parametrize(
    "change",
    [
        {"files": {"../../outside": {"size": 1, "sha256": "0"}}},
        {"files": {"/etc/hostname": {"size": 1, "sha256": "0"}}},
        {"files": {"a\u0000b": {"size": 1, "sha256": "0"}}},
        {"files": {"x": {"size": "many", "sha256": "0"}}},
        {"files": ["state.json"]},
        {"files": {}},
        {"format": "one"},
        {"facts": {"step": 2}},
        {"facts": None},
    ],
)
def test_a_manifest_made_to_mislead_is_refused(folder, change):
    rewrite(folder / "step-000000003" / MANIFEST, change)
    latest_skipping(folder, file=MANIFEST)


def test_a_file_name_that_leaves_the_checkpoint_is_named(folder):
    rewrite(folder / "step-000000003" / MANIFEST, {"files": {"../../outside": {"size": 1, "sha256": "0"}}})
    (problem,) = CheckpointStore(folder).verify()[0].problems
    assert problem == f"{MANIFEST} is malformed: the file name '../../outside' is not allowed"


def test_a_file_that_cannot_be_read_though_it_was_verified_is_named(folder):
    found = CheckpointStore(folder).latest()
    file = found.folder / "individuals" / "0001.safetensors"
    file.unlink()
    file.mkdir()
    words = r"step-000000003: individuals/0001\.safetensors cannot be read: .*\. Mend that, or put back an intact copy"
    with pytest.raises(CheckpointError, match=words):
        found.tensors("individuals/0001")


def test_an_old_checkpoint_that_cannot_be_removed_is_said_and_the_save_counts(tmp_path, monkeypatch, caplog):
    store = CheckpointStore(tmp_path)
    for step in (1, 2):
        save(store, step)

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(durable, "discard", refuse)
        save(store, 3)
    assert "An old checkpoint could not be removed (" in caplog.text and "the next save tries again" in caplog.text
    save(store, 4)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["step-000000003", "step-000000004"]


def test_a_newer_format_is_not_skipped_but_says_which_version_it_needs(folder):
    rewrite(folder / "step-000000003" / MANIFEST, {"format": 7, "needs": "3.2"})
    before = sorted(folder.rglob("*"))
    with pytest.raises(CheckpointError, match=r"step-000000003 is of format 7.*Install evoweights >= 3\.2"):
        CheckpointStore(folder).latest()
    assert sorted(folder.rglob("*")) == before
    assert "evoweights >= 3.2" in CheckpointStore(folder).verify()[0].problems[0]


def test_a_checkpoint_under_the_number_of_another_is_refused(folder):
    (folder / "step-000000003").rename(folder / "step-000000009")
    skipped: list[str] = []
    found = CheckpointStore(folder).latest(on_skip=skipped.append)
    assert found is not None and found.step == 2 and "is not one of step 9" in skipped[0]


def test_when_none_is_intact_every_reason_is_given_and_asking_again_gives_the_same(folder):
    for step, file in ((1, "state.json"), (2, MANIFEST), (3, "individuals/0001.safetensors")):
        os.truncate(folder / f"step-{step:09d}" / file, 3)
    messages = set()
    for _ in range(2):
        with pytest.raises(CheckpointError) as raised:
            CheckpointStore(folder).latest(on_skip=pytest.fail)
        assert raised.value.exit_code == 4 and str(raised.value).startswith("No intact checkpoint is left:")
        messages.add(str(raised.value))
    (message,) = messages
    assert [int(step) for step in re.findall(r"step-(\d{9}):", message)] == [3, 2, 1]
    assert "individuals/0001.safetensors has 3 bytes instead of" in message
    assert "state.json has 3 bytes" in message and MANIFEST in message and "--fresh" in message


def test_a_run_whose_only_checkpoints_were_set_aside_does_not_start_anew_silently(folder):
    os.truncate(folder / "step-000000003" / "state.json", 3)
    CheckpointStore(folder).latest(on_skip=lambda line: None)
    for path in folder.glob("step-*"):
        shutil.rmtree(path)
    with pytest.raises(CheckpointError, match=r"damaged-step-000000003.*set aside earlier"):
        CheckpointStore(folder).latest()


def test_what_is_set_aside_is_kept_whole_and_its_number_can_be_used_again(folder):
    path = folder / "step-000000003" / "state.json"
    path.write_bytes(b"?" * path.stat().st_size)
    names = {each.name for each in (folder / "step-000000003").rglob("*")}
    store = CheckpointStore(folder)
    store.latest(on_skip=lambda line: None)
    save(store, 3, "again")
    found = CheckpointStore(folder).latest(on_skip=pytest.fail)
    assert found is not None and found.state["mark"] == "again"
    (aside,) = folder.glob(".damaged-step-000000003.*")
    assert {each.name for each in aside.rglob("*")} == names


def test_a_reader_skips_a_damaged_checkpoint_and_changes_nothing(folder):
    os.truncate(folder / "step-000000003" / "state.json", 3)
    before = sorted(folder.rglob("*"))
    skipped: list[str] = []
    found = CheckpointStore(folder, read_only=True).latest(on_skip=skipped.append)
    assert found is not None and found.step == 2 and "state.json has 3 bytes" in skipped[0]
    assert sorted(folder.rglob("*")) == before


def test_the_newest_is_the_one_with_the_highest_number_whatever_the_times(folder):
    os.utime(folder / "step-000000001", (4e9, 4e9))
    os.utime(folder / "step-000000003", (0, 0))
    found = CheckpointStore(folder).latest(on_skip=pytest.fail)
    assert found is not None and found.step == 3


def test_a_flipped_bit_in_an_unchanged_file_does_not_spoil_the_checkpoint_before(tmp_path):
    store = CheckpointStore(tmp_path)
    for step in range(1, 6):
        save(store, step)
    path = tmp_path / "step-000000005" / "individuals" / "0001.safetensors"
    with path.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(b"\xff")
    assert [verdict.ok for verdict in store.verify()] == [False, True]


def test_bit_flips_that_safetensors_alone_would_load_are_found(folder):
    path = folder / "step-000000003" / "individuals" / "0000.safetensors"
    flip_bit(path, -8)
    from safetensors.torch import load_file

    assert load_file(path)["weights"].shape == torch.Size([9])
    latest_skipping(folder, file="individuals/0000.safetensors")


def test_a_flipped_bit_in_a_checkpoint_that_was_written_twice_does_not_spoil_the_one_before(tmp_path):
    """A run may be saved again before it has taken another step, such as when it is stopped in an evaluation."""
    store = CheckpointStore(tmp_path)
    for step in (1, 2, 3, 3):
        save(store, step)
    flip_bit(tmp_path / "step-000000003" / "individuals" / "0001.safetensors", -1)
    assert [verdict.ok for verdict in store.verify()] == [False, True]


def test_a_flipped_bit_after_a_save_that_failed_with_its_name_given_does_not_spoil_what_it_left(tmp_path):
    """It is there, though the disk failed right after; nobody shares its files unknowingly."""
    store = CheckpointStore(tmp_path)
    for step in (1, 2):
        save(store, step)
    with faulty_disk(fail_at=DiskCall("rename", "*/.staging-*", after=True)), pytest.raises(ResourceError):
        save(store, 3)
    save(store, 4)
    flip_bit(tmp_path / "step-000000004" / "individuals" / "0001.safetensors", -1)
    assert [(verdict.step, verdict.ok) for verdict in store.verify()][:2] == [(4, False), (3, True)]
