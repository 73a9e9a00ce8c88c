"""The results of benchmarks as tables, with the program that made them and the machine that it ran on."""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from making.places import ROOT, path_of
from making.text import code, escaped, prose, table

RESULTS = ROOT / "benchmarks" / "results"
_INTRO = """# Benchmarks

The figures in `benchmarks/results`, each with the program that measured it and its machine. What is not here
has not been measured.
"""


def benchmark_pages() -> dict[str, str]:
    """The page, by its place on the site."""
    return {"reference/benchmarks.md": "\n".join([_INTRO, *map(_result, sorted(RESULTS.glob("*.json")))])}


def _result(file: Path) -> str:
    values = json.loads(file.read_text(encoding="utf-8"))
    facts = {key: value for key, value in {**values, **values.get("machine", {})}.items() if _is_single(value)}
    others = {key: value for key, value in values.items() if isinstance(value, Mapping) and key != "machine"}
    parts = [
        f"## {file.stem}\n",
        _program(file),
        table(["", ""], ((key, _text(value)) for key, value in facts.items())),
    ]
    for key, value in others.items():
        parts += [
            f"\n{escaped(key.replace('_', ' '))}:\n",
            table(["", ""], ((name, _text(each)) for name, each in value.items())),
        ]
    rows = [flat for row in values.get("rows", []) for flat in _flat(row)]
    if rows:
        parts += ["", _rows(rows)]
    return "\n".join(parts)


def _program(file: Path) -> str:
    """What the program that wrote a file says of itself: its first sentence, and its command."""
    program = ROOT / "benchmarks" / f"{file.stem.rpartition('_')[0]}.py"
    if not program.exists():
        return f"`{path_of(file)}`\n"
    doc = ast.get_docstring(ast.parse(program.read_text(encoding="utf-8"))) or ""
    commands = "\n".join(line.strip() for line in re.findall(r"^    (?:python |  ).*$", doc, flags=re.MULTILINE))
    return f"{prose(doc.split(chr(10) * 2)[0])}\n\n```text\n{commands}\n```\n"


def _is_single(value: object) -> bool:
    return isinstance(value, str | int | float) or value is None


def _flat(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of a table for one row of the results: one for each contestant, if there are some."""
    own = {key: value for key, value in row.items() if _is_single(value)}
    for key, value in row.items():
        if isinstance(value, Mapping) and key != "contestants":
            own |= {f"{key} {name}": each for name, each in value.items() if _is_single(each)}
    contestants = row.get("contestants")
    if not contestants:
        yield own
        return
    for name, found in contestants.items():
        yield own | {"who": name} | {key: value for key, value in found.items() if _is_single(value)}


def _rows(rows: list[dict[str, Any]]) -> str:
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return table([key.replace("_", " ") for key in keys], ([_text(row.get(key, "")) for key in keys] for row in rows))


def _text(value: object) -> str:
    """A value as it is read: four digits of a fraction, thousands apart."""
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value).lower()
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return (
        f"{value:,}"
        if isinstance(value, int)
        else escaped(str(value))
        if _is_single(value)
        else code(json.dumps(value))
    )
