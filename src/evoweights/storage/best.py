"""The best individual of a run: ``genome.safetensors``, ``meta.json`` and a manifest of their digests."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evoweights.errors import CheckpointError
from evoweights.storage import durable
from evoweights.storage.formats import from_json, read_tensors, tensor_chunks, to_json
from evoweights.storage.manifest import check, seal

if TYPE_CHECKING:
    from torch import Tensor

GENOME, META = "genome.safetensors", "meta.json"
TRIES = 20
"""How often a reader starts over when a running process replaces the folder under its eyes."""


def save_best(folder: Path, tensors: "Mapping[str, Tensor]", meta: Mapping[str, Any]) -> None:
    """Put a new best individual in ``folder``; until it is whole, the old one stays.

    Raises:
        ResourceError: it could not be written; the old one is intact.
    """
    staging = folder.with_name(f".staging-{folder.name}-{os.getpid()}-{durable.nonce()}")
    with durable.disk_errors(f"The best individual {folder}"):
        try:
            durable.make_folder(staging)
            digests = {
                GENOME: durable.create_file(staging / GENOME, tensor_chunks(tensors)),
                META: durable.create_file(staging / META, [to_json(meta, indent=1).encode()]),
            }
            seal(staging, digests, {})
            durable.replace_folder(staging, folder)
            for old in durable.replaced(folder):
                durable.discard(old)
        finally:
            # What cannot be removed now (broken disk) goes when the run is opened again.
            with suppress(OSError):
                durable.clean(folder.parent)


def put_back_best(folder: Path) -> None:
    """Give the best individual its name back that was being replaced when a process died."""
    old = durable.replaced(folder)
    if old and not folder.exists():
        durable.rename(old[-1], folder)


def load_best(folder: Path) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    """Tensors and facts of the best individual, verified; while a run replaces it, one or the other.

    Raises:
        CheckpointError: there is none, or it is damaged; says which file.
    """
    for _ in range(TRIES):
        before = durable.identity(folder)
        try:
            found = _load(folder)
        except CheckpointError:
            if before is not None and durable.identity(folder) == before:
                raise
        else:
            if durable.identity(folder) == before:  # else its two files may be of two folders
                return found
    return _load(folder)


def _load(folder: Path) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    problems = []
    for candidate in [folder, *durable.replaced(folder)]:
        if candidate.exists():
            manifest, found = check(candidate)
            if not found and manifest.files.keys() >= {GENOME, META}:
                return _read(candidate)
            problems.append(f"{candidate} is damaged: {'; '.join(found) or 'it is no best individual'}.")
    if not problems:
        raise CheckpointError(
            f"{folder.parent} has no best individual yet. Continue the run until a generation is over, or put its folder "
            "back from a copy."
        )
    raise CheckpointError("\n".join([*problems, "Continue the run, or restore the file from a copy."]))


def best_facts(folder: Path, *, digests: bool = True) -> tuple[dict[str, Any] | None, str]:
    """What is known of the best individual, without its tensors, and what is wrong with it; None if there is none.

    Without ``digests`` only sizes are compared.
    """
    for _ in range(TRIES):
        before = durable.identity(folder)
        found, problem = _facts(folder, digests=digests)
        is_whole = found is not None and not problem
        if is_whole or (before is not None and durable.identity(folder) == before):
            return found, problem
    return _facts(folder, digests=digests)


def _facts(folder: Path, *, digests: bool) -> tuple[dict[str, Any] | None, str]:
    problem = ""
    for candidate in [folder, *durable.replaced(folder)]:
        if candidate.exists():
            manifest, found = check(candidate, digests=digests)
            if not found and META in manifest.files:
                try:
                    return from_json((candidate / META).read_bytes()), problem
                except (OSError, ValueError) as error:
                    found = [f"{META} cannot be read: {error}"]
            problem = f"{candidate.name}: {'; '.join(found) or 'it is no best individual'}"
    return None, problem


def _read(folder: Path) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    try:
        return read_tensors(folder / GENOME), from_json((folder / META).read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder} cannot be read: {error}. Mend that, or put back an intact copy.") from error
