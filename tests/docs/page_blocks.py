"""The blocks of a page of the documentation, with what comments before them say to the tests."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
NOTES = ("exit", "shortened", "before", "not run", "appended", "from")
"""What a comment directly before a block may say: ``<!-- exit 2 -->``, ``<!-- not run: why -->``."""
_NOTE = re.compile(rf"<!--\s*({'|'.join(NOTES)})\b:?\s*(.*?)\s*-->")


@dataclass(frozen=True)
class Block:
    """A fenced block, or an indented one, whose ``language`` is then ``indented``; ``line`` is that of its fence, from 1."""

    language: str
    title: str
    text: str
    line: int
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Command:
    """A line after ``$``, and the lines that it has to print."""

    text: str
    printed: tuple[str, ...]
    line: int


def pages() -> list[Path]:
    """Every page of the repository that is written by hand."""
    roots = [
        *ROOT.glob("*.md"),
        *ROOT.glob("kernels/*.md"),
        *ROOT.glob("plugins/*/*.md"),
        *ROOT.glob("examples/*/*.md"),
    ]
    return sorted([*roots, *(ROOT / "docs").rglob("*.md")])


def blocks_of(text: str) -> list[Block]:
    """The blocks in the order of the page.

    Raises:
        ValueError: a comment directly before a block that says nothing to the tests.
    """
    found: list[Block] = []
    comments: list[str] = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "html_block" and token.content.lstrip().startswith("<!--"):
            comments.append(token.content.strip())
            continue
        if token.type in ("fence", "code_block"):
            language, _, rest = token.info.strip().partition(" ")
            title = re.search(r'title="([^"]*)"', rest)
            is_fenced, line = token.type == "fence", (token.map or [0])[0] + 1
            name = title[1] if title else ""
            found.append(Block(language if is_fenced else "indented", name, token.content, line, _notes(comments)))
        comments = []
    return found


def _notes(comments: Iterable[str]) -> dict[str, str]:
    """What comments say, by its first word; a note that is repeated has a line for each."""
    found: dict[str, str] = {}
    for comment in comments:
        notes = _NOTE.findall(comment)
        if not notes:
            raise ValueError(f"{comment}: says nothing to the tests; known are {', '.join(NOTES)}.")
        for name, value in notes:
            found[name] = f"{found[name]}\n{value}" if name in found else value
    return found


def commands_of(block: Block) -> list[Command]:
    """The commands of a console block; a line that ends with a backslash goes on in the next."""
    found: list[Command] = []
    lines = block.text.replace("\\\n", " ").splitlines()
    for number, line in enumerate(lines, block.line + 1):
        if line.startswith("$ "):
            found.append(Command(line[2:].strip(), (), number))
        elif found:
            last = found.pop()
            found.append(Command(last.text, (*last.printed, line), last.line))
        else:
            raise ValueError(f"line {number}: a console block begins with `$ command`, found {line!r}.")
    return found


def pattern_of(printed: tuple[str, ...], *, loose: bool = False) -> re.Pattern[str]:
    """What the output has to hold: these lines one after the other; ``...`` is any text in a line, or any lines.

    ``loose`` takes any number for a number, and any spaces and stars for spaces.
    """
    return re.compile("".join(_line(each.rstrip(), loose) for each in printed), flags=re.MULTILINE)


def _line(text: str, loose: bool) -> str:
    if text == "...":
        return r"(?:^.*\n)*?"
    return "^" + ".*".join(_literal(each, loose) for each in text.split("...")) + r"[ \t]*\n"


def _literal(text: str, loose: bool) -> str:
    if not loose:
        return re.escape(text)
    pieces = re.split(r"([+-]?\d[\d,.]*(?:e[+-]?\d+)?|[ \t*]+)", text)
    return "".join(_loosened(each) for each in pieces)


def _loosened(piece: str) -> str:
    if not piece.strip(" *"):
        return r"[ \t*]+" if piece else ""
    return r"[+-]?\d[\d,.]*(?:e[+-]?\d+)?" if re.match(r"[+-]?\d", piece) else re.escape(piece)
