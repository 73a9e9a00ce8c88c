"""Pages that show files of the repository which other pages link to: configurations, programs, folders of examples."""

from collections.abc import Iterable
from pathlib import Path

from making.places import ROOT, path_of

_LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".json": "json", ".sh": "bash"}


def shown_pages(paths: Iterable[str]) -> dict[str, tuple[str, str]]:
    """By the path in the repository, the place on the site and the text of a page for each path that is there."""
    return {
        path: (f"files/{path.replace('/', '.')}.md", _page(ROOT / path))
        for path in sorted(set(paths))
        if (ROOT / path).exists() and (ROOT / path).resolve().is_relative_to(ROOT)
    }


def _page(place: Path) -> str:
    if place.is_file():
        return f"# {path_of(place)}\n\n{_block(place)}"
    files = [each for each in sorted(place.rglob("*")) if each.is_file() and not _is_hidden(each)]
    return f"# {path_of(place)}\n\n" + "\n".join(f"## {each.relative_to(place)}\n\n{_block(each)}" for each in files)


def _is_hidden(file: Path) -> bool:
    return any(part.startswith((".", "__pycache__")) for part in file.relative_to(ROOT).parts)


def _block(file: Path) -> str:
    text = file.read_text(encoding="utf-8")
    return f"``````{_LANGUAGES.get(file.suffix, 'text')}\n{text.rstrip()}\n``````\n"
