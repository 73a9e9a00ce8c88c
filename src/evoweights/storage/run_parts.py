"""The parts of a run's folder: what each must be, and one clear message for what is something else."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from evoweights.errors import CheckpointError, EvoweightsError, UsageError
from evoweights.storage.formats import from_json
from evoweights.storage.run_lock import HOLDER, LOCK

CONFIG, OVERRIDES, ENVIRONMENT = "config.yaml", "overrides.txt", "environment.json"
INFO, RESULT = "info.json", "result.json"
METRICS, LINEAGE, STEPS, LOG = "metrics.jsonl", "lineage.jsonl", "steps.jsonl", "log.txt"
CHECKPOINTS, BEST, TENSORBOARD, TASK, POPULATION = "checkpoints", "best", "tb", "task", "population"
DONE, FAILED = "DONE", "FAILED"

_NOTE = "Delete it: it is only a note, and the run does not depend on it."
_RECORD = "Move it away, or put back an intact copy; without one the run continues, and this record begins anew."
_REMADE = "Move it away; it is made again."
_FILES = {
    CONFIG: "Put back an intact copy, or start again beside it with --fresh.",
    OVERRIDES: _NOTE,
    ENVIRONMENT: "Delete it: it is written again when the run continues.",
    INFO: _NOTE,
    RESULT: _NOTE,
    METRICS: _RECORD,
    LINEAGE: _RECORD,
    STEPS: _RECORD,
    LOG: _RECORD,
    DONE: "Delete it: `evoweights resume` then sees from the checkpoints whether anything is left to do.",
    FAILED: _NOTE,
    LOCK: _REMADE,
    HOLDER: _REMADE,
}
_OTHERS_MAY_NOT = (LOG, LOCK, HOLDER)
"""What somebody who only looks at a run of another user needs no permission for."""
_FOLDERS = {
    CHECKPOINTS: "Put the folder of checkpoints back, or mount the disk it is on; if there is none, move this away and the "
    "run starts again from its beginning.",
    BEST: "Move it away, or put back a copy; a run that continues writes it again.",
    TENSORBOARD: _RECORD,
    TASK: "Move it away; the task makes it again from its data.",
    POPULATION: _REMADE,
}


def refuse_damaged(folder: Path) -> None:
    """See that everything in a run's folder that has the name of a part is of its kind and may be read.

    Raises:
        UsageError: the configuration is not a file.
        CheckpointError: another part is not what it must be.
    """
    for name in (*_FILES, *_FOLDERS):
        found = _kind(folder / name)
        if found and found != ("a folder" if name in _FOLDERS else "a file"):
            must = "a folder" if name in _FOLDERS else "a file"
            raise _damaged(folder / name, f"is {found} where {must} must be")
        if found and name not in _OTHERS_MAY_NOT and not os.access(folder / name, os.R_OK):
            raise _damaged(folder / name, "cannot be read (no permission)")


def read_text(path: Path, *, may_be_empty: bool = False) -> str:
    """The text of a part that is a file.

    Raises:
        UsageError: it is the configuration and cannot be read, is no UTF-8 text, or is empty.
        CheckpointError: so it is with another part.
    """
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise _damaged(path, f"is not UTF-8 text (byte {error.start} is 0x{error.object[error.start]:02x})") from error
    except OSError as error:
        raise _damaged(path, f"cannot be read ({error.strerror})") from error
    if "\0" in text:
        raise _damaged(path, "holds zero bytes, as files do that a power cut has damaged")
    if not may_be_empty and not text.strip():
        raise _damaged(path, "is empty")
    return text


def read_facts(path: Path) -> dict[str, Any]:
    """The JSON mapping in a part that is a file.

    Raises:
        CheckpointError: it cannot be read, or is something else.
    """
    try:
        facts = from_json(read_text(path))
    except ValueError as error:
        raise _damaged(path, f"is not JSON ({error})") from error
    if not isinstance(facts, dict):
        raise _damaged(path, "is JSON, but no mapping")
    return facts


def problems(folder: Path) -> Iterable[tuple[str, str]]:
    """The name of every small file of a run that cannot be read, with what is wrong."""
    readers = {OVERRIDES: lambda path: read_text(path, may_be_empty=True)}
    readers |= dict.fromkeys((ENVIRONMENT, INFO, RESULT), read_facts)
    for name in (OVERRIDES, ENVIRONMENT, INFO, RESULT, DONE, FAILED):
        try:
            if (folder / name).exists():
                readers.get(name, read_text)(folder / name)
        except CheckpointError as error:
            yield name, str(error)


def _kind(path: Path) -> str:
    """What stands at a path, links followed; empty if nothing does."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return f"a symbolic link to nothing ({os.readlink(path)})" if path.is_symlink() else ""
    except OSError as error:
        return f"something that cannot be opened ({error.strerror})"
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a file" if stat.S_ISREG(mode) else "a pipe or device"


def _damaged(path: Path, found: str) -> EvoweightsError:
    kind = UsageError if path.name == CONFIG else CheckpointError
    return kind(f"{path} {found}. {(_FILES | _FOLDERS)[path.name]}")
