"""Finds what a built page would load from elsewhere: the site has to work without a network."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

_LOADING = {
    "script": ("src",),
    "link": ("href",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "object": ("data",),
    "embed": ("src",),
}
_HARMLESS_LINKS = {"canonical", "next", "prev", "alternate"}
_IN_CSS = re.compile(r"""(?:url\(\s*['"]?|@import\s+['"])((?:https?:)?//[^'")\s]+)""")


def loaded_from_elsewhere(site: Path) -> Iterator[str]:
    """Every address outside the site that one of its pages or style sheets loads, with the file that does."""
    for file in sorted(site.rglob("*.html")):
        finder = _Finder()
        finder.feed(file.read_text(encoding="utf-8"))
        yield from (f"{file.relative_to(site)}: {each}" for each in finder.found)
    for file in sorted(site.rglob("*.css")):
        yield from (f"{file.relative_to(site)}: {each}" for each in _IN_CSS.findall(file.read_text(encoding="utf-8")))


class _Finder(HTMLParser):
    """Collects the addresses that a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at what an element loads."""
        values = {name: value or "" for name, value in attrs}
        self._in_style = tag == "style"
        if tag == "link" and set(values.get("rel", "").split()) & _HARMLESS_LINKS:
            return
        for name in _LOADING.get(tag, ()):
            addresses = values.get(name, "").split(",") if name == "srcset" else [values.get(name, "")]
            self.found += [each.strip() for each in addresses if re.match(r"\s*(?:https?:)?//", each)]
        self.found += _IN_CSS.findall(values.get("style", ""))
        if tag in ("div", "pre") and "mermaid" in values.get("class", "").split():
            self.found.append("a Mermaid diagram, for which the theme loads a script; draw it as SVG")

    def handle_data(self, data: str) -> None:
        """Look at a style sheet within the page."""
        if self._in_style:
            self.found += _IN_CSS.findall(data)
