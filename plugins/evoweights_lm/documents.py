"""Texts to learn from, and how they are divided: the training documents and a tail that is kept for validation."""

import glob
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evoweights.errors import DataError


@dataclass(frozen=True)
class Split:
    """Documents to train on and documents to validate on."""

    train: list[str]
    validation: list[str]


@dataclass(frozen=True)
class TextSource:
    """Where text comes from. ``fingerprint`` tells whether it is still the same text; ``read`` may take seconds."""

    label: str
    fingerprint: str
    read: Callable[[], Split]


def split_tail(documents: Sequence[str], share: float) -> Split:
    """Divide documents so that about the last ``share`` of their characters is for validation.

    At most one document is cut, after a line if it has several. Nothing is lost or repeated, and neither side is empty
    if there are two characters.
    """
    total = sum(map(len, documents))
    cut = min(max(1, total - round(total * share)), total - 1)
    for number, document in enumerate(documents):
        if cut < len(document):
            at = _line_start(document, cut)
            train, validation = (
                [*documents[:number], document[:at]],
                [document[at:], *documents[number + 1 :]],
            )
            return Split([each for each in train if each], [each for each in validation if each])
        cut -= len(document)
    return Split(list(documents), [])


def _line_start(document: str, near: int) -> int:
    """The first line start from ``near`` on that is inside the document, else the last one before, else ``near``."""
    if near == 0:
        return 0
    after = document.find("\n", near - 1) + 1
    if 0 < after < len(document):
        return after
    return document.rfind("\n", 0, near) + 1 or near


def find_files(patterns: Iterable[str], *, where: str) -> list[Path]:
    """The files that names and globs stand for: in the order given, each glob's own in the order of their names.

    Raises:
        DataError: one stands for no file.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        matches = sorted(path for path in map(Path, glob.glob(pattern, recursive=True)) if path.is_file())
        if not matches:
            raise DataError(
                f"{where}: {pattern!r} matches no file (looked in {Path.cwd()}). Correct the path, or quote the glob."
            )
        found |= dict.fromkeys(matches)
    return list(found)


def text_source(files: Sequence[str], validation_files: Sequence[str], share: float) -> TextSource:
    """The text of files, one document each; without validation files the last ``share`` of the text is for validation.

    Raises:
        DataError: a file is missing, empty, not UTF-8, or in both lists.
    """
    paths = find_files(files, where="task.files")
    held_out = find_files(validation_files, where="task.validation_files")
    refuse_overlap(paths, held_out)
    contents = {path: _content(path) for path in [*paths, *held_out]}
    texts = {path: _decoded(path, content) for path, content in contents.items()}
    digest = hashlib.sha256()
    for content in contents.values():
        digest.update(hashlib.sha256(content).digest())
    train, validation = [texts[path] for path in paths], [texts[path] for path in held_out]
    return TextSource(
        label=", ".join(files),
        fingerprint=digest.hexdigest(),
        read=lambda: Split(train, validation) if validation else split_tail(train, share),
    )


def refuse_overlap(train: Iterable[Path], validation: Iterable[Path]) -> None:
    """Make sure that no file is both trained and validated on.

    Raises:
        DataError: one is, under whatever name.
    """
    resolved = {path.resolve() for path in train}
    for path in validation:
        if path.resolve() in resolved:
            raise DataError(
                f"task.validation_files: {path} is also in task.files, so validation would see training text. "
                "Take it out of one of the two."
            )


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Check its permissions, or remove it.") from error


def _decoded(path: Path, content: bytes) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: not UTF-8 at byte {error.start} (found 0x{content[error.start]:02x}). Convert it, for example "
            "with `iconv -f latin1 -t utf-8`, or use data: token_shards if these are token ids."
        ) from error
    if not text.strip():
        raise DataError(f"{path}: holds no text ({len(content)} bytes). Remove it from the list of files.")
    return text
