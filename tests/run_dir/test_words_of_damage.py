"""What is said of each kind of damage: which file, what is wrong with it, and what becomes of it."""

import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from disk_faults import save

from evoweights.errors import CheckpointError, ResourceError, UsageError
from evoweights.genome import Layout
from evoweights.storage.best import load_best, save_best
from evoweights.storage.checkpoints import CheckpointStore
from evoweights.storage.durable import create_file
from evoweights.storage.manifest import MANIFEST, check, seal
from evoweights.storage.run_dir import RunDirectory
from evoweights.testing.faults import flip_bit
from evoweights.testing.strategies import segments_of
from evoweights.world import World


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE = {
    "is no regular file of a manifest's size": (MANIFEST, a_folder),
    "is missing: incomplete": (MANIFEST, Path.unlink),
    "is empty": (MANIFEST, lambda path: path.write_bytes(b"")),
    "does not match its own SHA-256: damaged": (MANIFEST, lambda path: flip_bit(path, 3)),
    "is not a regular file": ("facts", a_folder),
    "is missing": ("facts", Path.unlink),
    "has 4 bytes instead of 5": ("facts", lambda path: path.write_bytes(b"four")),
    "does not match its SHA-256: damaged": ("facts", lambda path: flip_bit(path, 3)),
}


@pytest.mark.parametrize("words", DAMAGE)
def test_a_damaged_file_of_a_sealed_folder_is_named_with_what_is_wrong(tmp_path: Path, words: str) -> None:
    name, damage = DAMAGE[words]
    seal(tmp_path, {"facts": create_file(tmp_path / "facts", [b"facts"])}, {})
    assert check(tmp_path)[1] == ()
    damage(tmp_path / name)
    assert check(tmp_path)[1] == (f"{name} {words}",)


def test_a_damaged_checkpoint_is_set_aside_under_a_name_that_is_told(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=3)
    for step in (1, 2):
        save(store, step)
    flip_bit(tmp_path / "step-000000002" / "state.json", 3)
    said: list[str] = []
    CheckpointStore(tmp_path).latest(on_skip=said.append)
    (aside,) = tmp_path.glob(".damaged-*")
    assert said[0].endswith(f" It is set aside as {aside.name}; step 1 is used.")


def test_a_checkpoint_or_a_best_individual_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match=r"^The checkpoint .*step-000000001 could not be written: Not a directory"):
        save(CheckpointStore(tmp_path / "file" / "checkpoints"), 1)
    with pytest.raises(ResourceError, match=r"^The best individual .*/file/best could not be written: Not a directory"):
        save_best(tmp_path / "file" / "best", {"own.weights": torch.zeros(1)}, {})


def test_a_folder_that_holds_something_else_is_no_best_individual(tmp_path: Path) -> None:
    (tmp_path / "best").mkdir()
    seal(tmp_path / "best", {"facts": create_file(tmp_path / "best" / "facts", [b"facts"])}, {})
    with pytest.raises(CheckpointError, match="best is damaged: it is no best individual"):
        load_best(tmp_path / "best")


def a_loop(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize(("make", "words"), [
    (a_loop, "is something that cannot be opened (Too many levels of symbolic links)"),
    (os.mkfifo, "is a pipe or device"),
    (Path.mkdir, "is a folder"),
])  # fmt: skip
def test_what_stands_where_a_part_of_a_run_must_be_is_named(tmp_path: Path, make, words: str) -> None:
    run = RunDirectory.open(tmp_path, "run", config_text="seed: 1\n", overrides=(), environment={}, fresh=False, keep=2)
    run.close()
    (tmp_path / "run" / "metrics.jsonl").unlink(missing_ok=True)
    make(tmp_path / "run" / "metrics.jsonl")
    with pytest.raises(CheckpointError, match=re.escape(f"metrics.jsonl {words} where a file must be")):
        RunDirectory.read(tmp_path / "run")


def test_another_layout_is_refused_by_the_part_that_has_it() -> None:
    own, shared = (Layout(segments_of([("matrix", (size, size))]), torch.float32) for size in (2, 3))
    part = SimpleNamespace(layout=shared)
    world = SimpleNamespace(population=SimpleNamespace(layout=own), mounted=SimpleNamespace(shared=part))
    for state, where in (((shared, shared), "checkpoint"), ((own, own), "checkpoint, shared part")):
        facts = dict(zip(("layout", "shared_layout"), (each.fingerprint for each in state), strict=True))
        with pytest.raises(UsageError, match=f"^{where}: "):
            World.restore(cast(World, world), facts, lambda name: {})
