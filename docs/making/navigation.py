"""The navigation: entries such as ``tutorials/*`` stand for all pages of a folder that are not named themselves."""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def expanded(nav: Sequence[Any], pages: Mapping[str, str]) -> list[Any]:
    """The navigation with the pages of folders in place of ``folder/*``; ``pages`` are the texts of all by their place."""
    named = set(_named(nav))
    return _expanded(nav, {uri: text for uri, text in pages.items() if uri not in named})


def _named(nav: Any) -> Iterator[str]:
    """Every page that the navigation names."""
    if isinstance(nav, str):
        yield nav
    for each in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ():
        yield from _named(each)


def _expanded(nav: Sequence[Any], pages: Mapping[str, str]) -> list[Any]:
    found: list[Any] = []
    for each in nav:
        if isinstance(each, str) and each.endswith("/*"):
            found += _pages_of(each.removesuffix("/*"), pages)
        elif isinstance(each, dict):
            lists = {key: _expanded(value, pages) for key, value in each.items() if isinstance(value, list)}
            found.append({**each, **lists})
        else:
            found.append(each)
    return found


def _pages_of(folder: str, pages: Mapping[str, str]) -> list[str]:
    """The pages of a folder: its index, those that the index links to in that order, then the rest by name."""
    inside = sorted((uri for uri in pages if posixpath.dirname(uri) == folder), key=lambda uri: uri.removesuffix(".md"))
    index = f"{folder}/index.md"
    linked = re.findall(r"\]\(([\w-]+\.md)", pages.get(index, ""))
    order = [index, *(f"{folder}/{name}" for name in dict.fromkeys(linked))]
    first = [uri for uri in order if uri in inside]
    return first + [uri for uri in inside if uri not in first]
