"""One checkpoint: what verifying it found, and what is in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evoweights.errors import CheckpointError
from evoweights.storage.formats import from_json, read_tensors
from evoweights.storage.manifest import MANIFEST, Manifest, check, is_safe_name

if TYPE_CHECKING:
    from torch import Tensor

STATE = "state.json"
_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Verdict:
    """What verifying one checkpoint found; ``problems`` name the files and what is wrong with each."""

    step: int
    ok: bool
    problems: tuple[str, ...]
    folder: Path


@dataclass(frozen=True)
class Reached:
    """How far a run was: the generation that it was in, or that comes next, and the steps that were made."""

    generation: int
    step: int


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that has been verified; ``names`` are those of its tensor files."""

    step: int
    folder: Path
    state: Mapping[str, Any]
    names: tuple[str, ...]
    environment: Mapping[str, Any]

    def tensors(self, name: str) -> "dict[str, Tensor]":
        """The tensors of one file, on the host; writing to them does not change the checkpoint.

        Raises:
            CheckpointError: there is no such file, or it is malformed.
        """
        file = file_of(name)
        if file.removesuffix(_SUFFIX) not in self.names:
            raise CheckpointError(f"{self.folder} has no {file}; it has {', '.join(self.names)}.")
        try:
            return read_tensors(self.folder / file)
        except (OSError, ValueError) as error:
            raise _unreadable(self.folder, file, error) from error


def file_of(name: str) -> str:
    """The file that holds the tensors called ``name``.

    Raises:
        CheckpointError: a file cannot be called so.
    """
    if not is_safe_name(name):
        raise CheckpointError(f"{name!r} cannot name a file of a checkpoint; use A-Z a-z 0-9 . _ - and /.")
    return name.removesuffix(_SUFFIX) + _SUFFIX


def verify(step: int, folder: Path, *, digests: bool = True) -> tuple[Verdict, Manifest]:
    """What is wrong with the checkpoint in ``folder``, and its list of files. Without ``digests`` only sizes are compared.

    Raises:
        CheckpointError: a newer version wrote it.
    """
    manifest, problems = check(folder, digests=digests)
    if not problems and (manifest.facts.get("step") != step or STATE not in manifest.files):
        problems = (f"{MANIFEST} is not one of step {step}",)
    return Verdict(step, not problems, problems, folder), manifest


def judge(step: int, folder: Path, *, digests: bool = True) -> tuple[Verdict, Manifest]:
    """As :func:`verify`, but that a newer version wrote it is one more thing that may be wrong."""
    try:
        return verify(step, folder, digests=digests)
    except CheckpointError as error:
        return Verdict(step, False, (str(error),), folder), Manifest()


def load(folder: Path, step: int, manifest: Manifest) -> Checkpoint:
    """A checkpoint that was verified.

    Raises:
        CheckpointError: it cannot be read.
    """
    try:
        state = from_json((folder / STATE).read_bytes())
    except (OSError, ValueError) as error:
        raise _unreadable(folder, STATE, error) from error
    names = tuple(name.removesuffix(_SUFFIX) for name in manifest.files if name.endswith(_SUFFIX))
    return Checkpoint(step, folder, state, names, manifest.facts.get("environment", {}))


def reached_in(folder: Path) -> Reached | None:
    """How far the run was when a checkpoint was written; None if that does not say, or has gone meanwhile."""
    try:
        progress = from_json((folder / STATE).read_bytes())["progress"]
        generation, step = progress["generation"], progress["step"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return Reached(generation, step) if isinstance(generation, int) and isinstance(step, int) else None


def _unreadable(folder: Path, file: str, error: Exception) -> CheckpointError:
    if not folder.exists():
        return CheckpointError(
            f"{folder} has made way for newer checkpoints while it was read. Give the command again."
        )
    return CheckpointError(f"{folder}: {file} cannot be read: {error}. Mend that, or put back an intact copy.")
