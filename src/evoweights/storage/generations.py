"""What the lines of ``metrics.jsonl`` must be before anything is computed from them."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from evoweights.errors import CheckpointError

_MOST_GENERATIONS = 2**53
_LARGEST = 10**300
"""A whole number beyond it is no float any more, and no cost or loss of any run."""


def checked(records: Iterable[Mapping[str, Any]], file: Path) -> Iterator[Mapping[str, Any]]:
    """The lines of ``file``, each a record of a generation.

    Raises:
        CheckpointError: one is not.
    """
    for number, record in enumerate(records, 1):
        if found := mistake_in(record):
            raise CheckpointError(
                f"{file}: line {number} is no record of a generation ({found}). Put back an intact copy."
            )
        yield record


def mistake_in(record: Mapping[str, Any]) -> str:
    """Why a line is no record of a generation; empty if it is one."""
    generation, best = record.get("generation"), record.get("best_fitness")
    if type(generation) is not int or not 0 <= generation < _MOST_GENERATIONS:
        return f"its generation is {_told(generation)}"
    if best is not None and not _is_number(best):
        return f"its best_fitness is {_told(best)}"
    for key, verb in (("seconds", "are"), ("ledger", "is")):
        found = record.get(key) or {}
        if not isinstance(found, dict) or not all(each is None or _is_number(each) for each in found.values()):
            return f"its {key} {verb} {_told(found)}"
    return "a number in it is too large" if _is_too_large(dict(record)) else ""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_too_large(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_is_too_large, value.values()))
    if isinstance(value, list):
        return any(map(_is_too_large, value))
    return isinstance(value, int) and abs(value) > _LARGEST


def _told(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
