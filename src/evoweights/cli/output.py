"""What commands write: plain text, or JSON for machines, on stdout; styled only on a terminal."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

import typer

WIDE = 10_000
"""Columns of a table in a pipe or file, more than any takes: nothing is cut, and a terminal wraps what is wider than itself."""


def say(text: str = "", *, bold: bool = False) -> None:
    """Write a line. A reader that has gone away, such as ``head``, ends the command without complaint."""
    try:
        typer.secho(text, bold=bold)
    except BrokenPipeError:
        discard_output(sys.stdout)
        raise typer.Exit(0) from None


def mention(text: str = "", *, err: bool = False) -> None:
    """Write a line beside work that goes on whether anybody reads it or not."""
    try:
        typer.echo(text, err=err)
    except BrokenPipeError:
        discard_output(sys.stderr if err else sys.stdout)


def say_json(value: Any) -> None:
    """Write a value as JSON."""
    say(json.dumps(value, indent=2, allow_nan=False))


def say_rows(rows: Iterable[Sequence[str]], *, indent: str = "  ") -> None:
    """Write rows in columns; the last column is as wide as it is."""
    table = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        say((indent + "  ".join([*cells, row[-1]])).rstrip())


def discard_output(stream: TextIO) -> None:
    """Let nothing more be written to a stream that nobody reads, not even what Python holds back until it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
