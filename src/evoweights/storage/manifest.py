"""A manifest: the list of a folder's files with size and SHA-256, so that one flipped bit anywhere is found.

It is written last. It holds a digest of itself, so that damage is told from a newer format.
"""

import hashlib
import re
import stat
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from evoweights.errors import CheckpointError
from evoweights.storage.durable import Digest, create_file
from evoweights.storage.formats import from_json, to_json

MANIFEST = "MANIFEST.json"
FORMAT = 1
NEEDS = "0.1"

_LARGEST = 1 << 26
_READERS = 4
_PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_OWN_DIGEST = re.compile(rb'"manifest_sha256": "([0-9a-f]{64})"')


@dataclass(frozen=True)
class Manifest:
    """A sealed folder: its files by relative name, and the facts given when it was sealed."""

    files: Mapping[str, Digest] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


def is_safe_name(name: str) -> bool:
    """Whether a file may be called so: parts of ``A-Za-z0-9._-``, none with a leading dot, and ``/``."""
    return len(name) <= 255 and all(_PART.fullmatch(part) for part in name.split("/"))


def seal(folder: Path, files: Mapping[str, Digest], facts: Mapping[str, Any]) -> None:
    """Write the manifest of a folder whose files are written and fsynced."""
    content = {
        "format": FORMAT,
        "needs": NEEDS,
        "facts": facts,
        "files": {name: asdict(files[name]) for name in sorted(files)},
        "manifest_sha256": "0" * 64,
    }
    text = (to_json(content, indent=1) + "\n").encode()
    own = hashlib.sha256(text).hexdigest().encode()
    at = _last_match(text)
    assert at is not None
    create_file(folder / MANIFEST, [text[: at.start(1)] + own + text[at.end(1) :]])


def check(folder: Path, *, digests: bool = True) -> tuple[Manifest, tuple[str, ...]]:
    """The manifest of a sealed folder, and what is wrong with it, each problem beginning with a file's name.

    Without ``digests`` only sizes are compared.

    Raises:
        CheckpointError: a newer version wrote it.
    """
    manifest, problem = _read(folder)
    if problem:
        return manifest, (f"{MANIFEST} {problem}",)
    with ThreadPoolExecutor(_READERS) as pool:
        found = pool.map(lambda name: _problem(folder / name, manifest.files[name], digests), manifest.files)
        problems = tuple(f"{name} {each}" for name, each in zip(manifest.files, found, strict=True) if each)
    return manifest, problems


def _read(folder: Path) -> tuple[Manifest, str]:
    path = folder / MANIFEST
    try:
        if path.lstat().st_size > _LARGEST or not stat.S_ISREG(path.lstat().st_mode):
            return Manifest(), "is no regular file of a manifest's size"
        text = path.read_bytes()
    except FileNotFoundError:
        return Manifest(), "is missing: incomplete"
    except OSError as error:
        return Manifest(), f"cannot be read: {error.strerror}"
    at = _last_match(text)
    blank = b"" if at is None else text[: at.start(1)] + b"0" * 64 + text[at.end(1) :]
    if at is None or hashlib.sha256(blank).hexdigest().encode() != at[1]:
        return Manifest(), "is empty" if not text else "does not match its own SHA-256: damaged"
    try:
        return _parse(from_json(text), folder), ""
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return Manifest(), f"is malformed: {error}"


def _last_match(text: bytes) -> re.Match[bytes] | None:
    return max(_OWN_DIGEST.finditer(text), key=re.Match.start, default=None)


def _parse(content: Any, folder: Path) -> Manifest:
    if content["format"] > FORMAT:
        raise CheckpointError(
            f"{folder} is of format {content['format']}; this evoweights reads formats up to {FORMAT}. "
            f"Install evoweights >= {content['needs']} to continue from it."
        )
    files = {name: Digest(int(each["size"]), str(each["sha256"])) for name, each in content["files"].items()}
    unsafe = [name for name in files if not is_safe_name(name)]
    if unsafe:
        raise ValueError(f"the file name {unsafe[0]!r} is not allowed")
    return Manifest(files, dict(content["facts"]))


def _problem(path: Path, expected: Digest, digests: bool) -> str:
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            return "is not a regular file"
        if status.st_size != expected.size:
            return f"has {status.st_size} bytes instead of {expected.size}"
        if not digests:
            return ""
        with path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if sha256 == expected.sha256 else "does not match its SHA-256: damaged"
