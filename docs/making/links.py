"""Links of pages: written for the repository, so that they work there; made to work on the site."""

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping

_TARGET = re.compile(r"(?<=\]\()[^)\s]+(?=\))")
_FENCE = re.compile(r"\s*(`{3,}|~{3,})")
_NOTE = re.compile(r"\s*<!--.*-->\s*")


def map_text(markdown: str, change: Callable[[str], str]) -> str:
    """The page with every line outside fenced blocks changed."""
    lines, fence = [], ""
    for line in markdown.splitlines(keepends=True):
        mark = match[1] if (match := _FENCE.match(line)) else ""
        if not fence:
            lines.append(line if mark else change(line))
            fence = mark
        else:
            lines.append(line)
            closes = mark.startswith(fence) and not line.strip().strip(mark[0])
            fence = "" if closes else fence
    return "".join(lines)


def without_notes(markdown: str) -> str:
    """The page without its HTML comments of one line, which are there for the tests."""
    return map_text(markdown, lambda line: "" if _NOTE.fullmatch(line) else line)


def linked_paths(markdown: str, *, path: str) -> Iterator[str]:
    """What a page links to within the repository, as paths in it; ``path`` is the page's own."""
    found: list[str] = []

    def look(line: str) -> str:
        found.extend(_TARGET.findall(line))
        return line

    map_text(markdown, look)
    for target in found:
        if resolved := _resolved(target, path):
            yield resolved


def for_the_site(markdown: str, *, path: str, uri: str, places: Mapping[str, str]) -> str:
    """The page with links to places on the site; what has no place is left as it is, for MkDocs to complain of.

    ``path`` is where the page is in the repository, ``uri`` where it is on the site.
    """

    def placed(match: re.Match[str]) -> str:
        target = match[0]
        place = places.get(_resolved(target, path))
        if place is None:
            return target
        anchor = target[target.find("#") :] if "#" in target else ""
        return posixpath.relpath(place, posixpath.dirname(uri) or ".") + anchor

    return map_text(markdown, lambda line: _TARGET.sub(placed, line))


def _resolved(target: str, path: str) -> str:
    """The path in the repository that a link leads to; empty if it leads elsewhere, or to a place on its own page."""
    name = target.split("#")[0]
    if not name or re.match(r"[a-z][a-z0-9+.-]*:|/", name):
        return ""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
