"""Markdown from docstrings and values."""

import html
import inspect
import re
from collections.abc import Iterable, Sequence

_CODE = re.compile(r"(`[^`]+`)")
_STAR = re.compile(r"\*(?=\S)|(?<=\S)\*")


def prose(docstring: str | None) -> str:
    """A docstring as Markdown: what stands between double backticks is code, references to Python names are too."""
    text = inspect.cleandoc(docstring or "")
    text = re.sub(r":\w+:`~?([^`]+)`", r"``\1``", text)
    text = re.sub(r"``([^`]+)``", r"`\1`", text)
    return "\n".join(_lines(text))


def _lines(text: str) -> Iterable[str]:
    """The lines, with what is raised as a list and the indented blocks left as they are."""
    raises = False
    for line in text.splitlines():
        if line == "Raises:":
            raises = True
            yield from ("", "Raises:", "")
        elif raises and (item := re.fullmatch(r"    (\w+): (.*)", line)):
            yield f"* `{item[1]}`: {escaped(item[2])}"
        elif line.startswith("    "):
            yield escaped(line.strip()) if raises else line
        else:
            raises = raises and not line
            yield escaped(re.sub(r"::$", ":", line))


def escaped(text: str) -> str:
    """Plain text with code between backticks, such that nothing else in it is taken for HTML."""
    return "".join(each if each.startswith("`") else _plain(each) for each in _CODE.split(text))


def _plain(text: str) -> str:
    return _STAR.sub("&#42;", html.escape(text, quote=False))


def code(value: object) -> str:
    """A value as code."""
    return f"`{value}`" if str(value) else ""


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; cells are one line of Markdown each."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(_cell(each) for each in line)} |\n" for line in lines)


def _cell(value: object) -> str:
    text = " ".join(str(value).split())
    return "".join(each if each.startswith("`") else each.replace("|", "&#124;") for each in _CODE.split(text))
