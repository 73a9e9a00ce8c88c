"""Append-only files of one JSON object a line, such as ``metrics.jsonl``; each line is strict JSON."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evoweights.storage import durable

_NOT_FINITE = ("nan", "inf", "-inf")


def append(path: Path, record: Mapping[str, Any]) -> None:
    """Add a line; NaN and infinities are written as the texts nan, inf and -inf."""
    durable.append_line(path, json.dumps(_strict(record), allow_nan=False))


def records(path: Path) -> Iterator[dict[str, Any]]:
    """The lines that are whole, NaN and infinities as numbers again; none if there is no file."""
    if path.exists():
        with path.open("rb") as stream:
            for line in stream:
                record = _parsed(line)
                if record is not None:
                    yield record


def last(path: Path) -> dict[str, Any] | None:
    """The last line that is whole."""
    record = None
    for each in records(path):
        record = each
    return record


def rewind(path: Path, limit: float, *, key: str = "generation") -> None:
    """Drop the lines whose ``key`` is ``limit`` or more, and those that are not whole; lines without it stay."""
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    kept = [line for line in lines if _is_before(line, key, limit)]
    if len(kept) != len(lines):
        durable.replace_file(path, kept)


def _is_before(line: bytes, key: str, limit: float) -> bool:
    record = _parsed(line)
    if record is None:
        return False
    number = record.get(key, -math.inf)
    return isinstance(number, int | float) and number < limit


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return _restored(record) if line.endswith(b"\n") and isinstance(record, dict) else None


def _strict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _strict(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(each) for each in value]
    return str(float(value)) if isinstance(value, float) and not math.isfinite(value) else value


def _restored(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _restored(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_restored(each) for each in value]
    return float(value) if isinstance(value, str) and value in _NOT_FINITE else value
