"""The documentation inside every Python installation as a corpus: no download, no licence question, real English.

It is the language reference behind ``help("if")`` and the docstrings of the standard library. Files are parsed, never
imported. The text is the same for one version of Python, and differs by a few percent between versions.
"""

import ast
import hashlib
import logging
import os
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

from evoweights.errors import DataError
from evoweights_lm.documents import Split, TextSource, split_tail

_SKIPPED = frozenset(
    {"test", "tests", "idle_test", "idlelib", "turtledemo", "lib2to3", "ensurepip", "pydoc_data"}
    | {"site-packages", "dist-packages", "lib-dynload", "__pycache__"}
)
_LEAST = 500_000
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)

logger = logging.getLogger(__name__)


def python_docs_source(share: float, *, root: Path | None = None) -> TextSource:
    """The documentation of this Python (or of the standard library in ``root``), the last ``share`` for validation."""
    library = root or Path(sysconfig.get_paths()["stdlib"])
    return TextSource(
        label="the documentation of the Python standard library",
        fingerprint="python_docs",
        read=lambda: _read(library, share),
    )


def _read(library: Path, share: float) -> Split:
    documents = dict(_topics(library / "pydoc_data" / "topics.py"))
    seen: set[str] = set()
    for path in _sources(library):
        if text := "\n\n".join(_docstrings(path, seen)):
            documents[path.relative_to(library).as_posix()] = text + "\n"
    size = sum(map(len, documents.values()))
    if size < _LEAST:
        raise DataError(
            f"task.data: python_docs found only {size} characters in {library}; at least {_LEAST} are expected. This "
            "Python comes without the sources of its standard library: use data: text with your own files, or another "
            "Python."
        )
    # In the order of names the tail would be a few modules only; in the order of hashes it is a fair sample of all.
    ordered = sorted(documents, key=lambda name: hashlib.blake2b(name.encode()).digest())
    return split_tail([documents[name] for name in ordered], share)


def _topics(path: Path) -> Iterator[tuple[str, str]]:
    """The topics of the language reference: the dict that the file assigns to a name."""
    if not path.exists():
        return
    for statement in ast.parse(path.read_bytes()).body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(statement.value, ast.Dict):
            for name, text in ast.literal_eval(statement.value).items():
                yield f"topic {name}", text.strip() + "\n"


def _sources(library: Path) -> Iterator[Path]:
    for folder, subfolders, files in os.walk(library):
        subfolders[:] = sorted(each for each in subfolders if each not in _SKIPPED and not each.startswith("config-"))
        yield from (Path(folder, file) for file in sorted(files) if file.endswith(".py"))


def _docstrings(path: Path, seen: set[str]) -> Iterator[str]:
    """The docstrings of a file that no earlier file had, from top to bottom."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in others' sources are not our subject
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        logger.warning("python_docs: %s is left out: %s", path, error)
        return
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and (text := ast.get_docstring(node)) and text not in seen:
            seen.add(text)
            yield text
