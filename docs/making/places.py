"""Where the files of the repository are on the site.

A place on the site is a path such as ``packages/evoweights_eoe.md``, as MkDocs has it; pages in ``docs/`` keep theirs.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

TOP = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "kernels/README.md": "packages/evoweights_kernels.md",
}


def outside_pages() -> dict[str, str]:
    """The pages that lie outside ``docs/``: by the path in the repository, the place on the site."""
    found = dict(TOP)
    for folder, section in (("plugins", "packages"), ("examples", "examples")):
        for readme in sorted((ROOT / folder).glob("*/README.md")):
            found[path_of(readme)] = f"{section}/{readme.parent.name}.md"
    return found


def path_of(file: Path) -> str:
    """The path of a file in the repository."""
    return file.relative_to(ROOT).as_posix()


def places_of(uris: Iterable[str], outside: Mapping[str, str]) -> dict[str, str]:
    """By the path in the repository, the place on the site of everything that has one; ``uris`` are the files of ``docs/``.

    A folder with a README is where that is.
    """
    places = {f"docs/{uri}": uri for uri in uris} | dict(outside)
    for path, uri in outside.items():
        if path.endswith("/README.md"):
            places[path.removesuffix("/README.md")] = uri
    for uri in [uri for uri in places.values() if uri.endswith("/index.md")]:
        places.setdefault(f"docs/{uri}".removesuffix("/index.md"), uri)
    results = "reference/benchmarks.md"
    places |= {path_of(each): results for each in (ROOT / "benchmarks" / "results").glob("*.json")}
    return places | {"benchmarks/results": results}
