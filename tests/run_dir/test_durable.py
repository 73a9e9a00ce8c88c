"""A file is whole under its name or not there; nothing is left of a write that failed."""

import errno
import hashlib
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from evoweights.errors import ResourceError
from evoweights.storage import durable
from evoweights.storage.durable import Digest
from evoweights.storage.formats import tensor_chunks
from evoweights.testing.faults import FaultyDisk, PowerCut, faulty_disk, inserted, lose


def test_the_digest_is_of_the_content_however_it_is_cut_into_chunks(tmp_path):
    content = bytes(range(256)) * 10_000
    expected = Digest(len(content), hashlib.sha256(content).hexdigest())
    for index, size in enumerate((1 << 10, 1 << 21, len(content))):
        chunks = [content[at : at + size] for at in range(0, len(content), size)]
        assert durable.create_file(tmp_path / str(index), chunks) == expected
        assert (tmp_path / str(index)).read_bytes() == content


def test_a_new_file_never_overwrites_another(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(FileExistsError):
        durable.create_file(tmp_path / "file", [b"new"])
    assert (tmp_path / "file").read_text() == "old"


@pytest.mark.parametrize("torn", [False, True])
@pytest.mark.parametrize("how", ["absent", "truncated", "zeroed"])
def test_a_power_cut_at_any_call_leaves_the_old_or_the_new_file(tmp_path, how, torn):
    path = tmp_path / "file"
    seen = set()
    for number in range(100):
        path.write_text("old")
        with faulty_disk(cut_at=number, torn=torn) as disk:
            try:
                durable.write_text(path, "new")
                break
            except PowerCut:
                lose(tmp_path, disk.unsynced, how)
        seen.add(path.read_text())
    assert seen == {"old", "new"} and number > 4


@pytest.mark.parametrize("number", range(6))
def test_an_error_leaves_the_old_or_the_new_file_and_nothing_else(tmp_path, number):
    path = tmp_path / "file"
    path.write_text("old")
    with faulty_disk(fail_at=number), pytest.raises(OSError):
        durable.write_text(path, "new")
    assert os.listdir(tmp_path) == ["file"] and path.read_text() in ("old", "new")


def test_tensors_and_json_are_replaced_whole(tmp_path):
    for value in (1.0, 2.0):
        durable.replace_file(tmp_path / "t", tensor_chunks({"x": torch.tensor(value)}))
        durable.write_json(tmp_path / "j", {"x": value})
    assert load_file(tmp_path / "t")["x"] == 2 and (tmp_path / "j").read_text() == '{\n "x": 2.0\n}\n'
    assert sorted(os.listdir(tmp_path)) == ["j", "t"]


def test_a_file_may_be_written_over_while_it_is_mapped_into_memory(tmp_path):
    path = tmp_path / "genome.safetensors"
    durable.replace_file(path, tensor_chunks({"x": torch.arange(1000.0)}))
    mapped = load_file(path)
    durable.replace_file(path, tensor_chunks(mapped))
    assert torch.equal(load_file(path)["x"], torch.arange(1000.0)) and torch.equal(mapped["x"], torch.arange(1000.0))


def test_a_line_that_could_not_be_added_whole_is_not_added_at_all(tmp_path):
    path = tmp_path / "lines"
    durable.append_line(path, "first")
    with faulty_disk(fail_at=1, torn=True), pytest.raises(OSError):
        durable.append_line(path, "second")
    assert path.read_text() == "first\n"
    durable.append_line(path, "third")
    assert path.read_text() == "first\nthird\n"


def test_a_write_that_the_system_does_in_parts_is_completed(tmp_path):
    class Slow(FaultyDisk):
        def __getattr__(self, name):
            return (lambda fd, content: os.write(fd, content[:7])) if name == "write" else super().__getattr__(name)

    with inserted(Slow()):
        durable.write_text(tmp_path / "file", "x" * 100)
    assert (tmp_path / "file").read_text() == "x" * 100


def test_a_disk_error_says_what_where_why_and_what_to_do(tmp_path):
    with pytest.raises(ResourceError) as raised, durable.disk_errors("The report"):
        durable.write_text(tmp_path / "missing" / "report.html", "text")
    message = str(raised.value)
    assert raised.value.exit_code == 7
    for part in ("The report could not be written", "No such file or directory", "missing", "same command"):
        assert part in message


def test_a_folder_that_cannot_be_replaced_stays(tmp_path):
    for name in ("staged", "target"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    with faulty_disk(error=errno.EIO) as disk:
        disk.fail_at = 3  # open and fsync of what is staged, the first rename, and then this
        with pytest.raises(OSError):
            durable.replace_folder(tmp_path / "staged", tmp_path / "target")
    assert [name for name, _ in disk.calls] == ["open", "fsync", "rename", "rename", "rename"]
    assert (tmp_path / "target" / "file").read_text() == "target" and durable.replaced(tmp_path / "target") == []


def test_cleaning_follows_no_link_and_leaves_other_names(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("mine")
    folder = tmp_path / "folder"
    (folder / ".trash-x.1" / "deep").mkdir(parents=True)
    (folder / ".trash-x.1" / "deep" / "link").symlink_to(tmp_path / "outside")
    (folder / ".staging-link").symlink_to(tmp_path / "outside")
    (folder / ".replaced-best.1").mkdir()
    durable.clean(folder)
    assert os.listdir(folder) == [".replaced-best.1"]
    assert (tmp_path / "outside" / "file").read_text() == "mine"


def test_the_run_directory_is_opened_without_importing_torch(tmp_path):
    program = (
        "import sys; from pathlib import Path; from evoweights.storage.run_dir import RunDirectory\n"
        f"run = RunDirectory.open(Path({str(tmp_path)!r}), 'r', config_text='a: 1', overrides=[], environment={{}})\n"
        "run.append_metrics({'generation': 0}); run.status(); run.close(); print('torch' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
