"""What makes the site of the pages: links, navigation, pages that show files, and the search for foreign files."""

from pathlib import Path

import pytest

from making.links import for_the_site, linked_paths, without_notes
from making.navigation import expanded
from making.offline import loaded_from_elsewhere
from making.places import ROOT, outside_pages, places_of
from making.shown import shown_pages
from making.text import prose, table

PLACES = {"README.md": "index.md", "docs/findings.md": "findings.md", "plugins/a/README.md": "packages/a.md"}


@pytest.mark.parametrize(
    ("path", "uri", "link", "expected"),
    [
        ("README.md", "index.md", "docs/findings.md#x", "findings.md#x"),
        ("plugins/a/README.md", "packages/a.md", "../../docs/findings.md", "../findings.md"),
        ("docs/findings.md", "findings.md", "../plugins/a/README.md", "packages/a.md"),
        ("docs/findings.md", "findings.md", "../nowhere.md", "../nowhere.md"),
        ("docs/findings.md", "findings.md", "#here", "#here"),
        ("docs/findings.md", "findings.md", "https://arxiv.org/abs/1", "https://arxiv.org/abs/1"),
    ],
)
def test_links_lead_on_the_site_where_they_lead_in_the_repository(
    path: str, uri: str, link: str, expected: str
) -> None:
    assert for_the_site(f"See [it]({link}).\n", path=path, uri=uri, places=PLACES) == f"See [it]({expected}).\n"


def test_blocks_are_left_as_they_are() -> None:
    text = "<!-- exit 2 -->\n```text\n[a](docs/findings.md)\n<!-- b -->\n```\n\n`<!-- c -->` [d](docs/findings.md)\n"
    assert list(linked_paths(text, path="README.md")) == ["docs/findings.md"]
    shown = for_the_site(without_notes(text), path="README.md", uri="index.md", places=PLACES)
    assert shown == "```text\n[a](docs/findings.md)\n<!-- b -->\n```\n\n`<!-- c -->` [d](findings.md)\n"


def test_every_readme_has_a_place_and_its_folder_too() -> None:
    outside = outside_pages()
    places = places_of(["findings.md", "how_to/index.md"], outside)
    assert {"README.md", "CHANGELOG.md", "kernels/README.md", "plugins/evoweights_eoe/README.md"} <= outside.keys()
    assert (
        places["plugins/evoweights_eoe"] == places["plugins/evoweights_eoe/README.md"] == "packages/evoweights_eoe.md"
    )
    assert places["docs/how_to"] == "how_to/index.md"
    assert len(set(outside.values())) == len(outside)


def test_a_file_that_is_linked_to_gets_a_page_that_shows_it() -> None:
    shown = shown_pages(["configs/eoe_gpt2.yaml", "examples/local_operator", "no/such/file"])
    assert list(shown) == ["configs/eoe_gpt2.yaml", "examples/local_operator"]
    assert (ROOT / "configs/eoe_gpt2.yaml").read_text().rstrip() in shown["configs/eoe_gpt2.yaml"][1]
    assert "## my_operator.py" in shown["examples/local_operator"][1]


def test_a_folder_stands_for_its_pages_in_the_order_of_its_index() -> None:
    pages = dict.fromkeys(
        ["how_to/a.md", "how_to/b.md", "how_to/c.md", "how_to/e.md", "how_to/deep/d.md", "other.md"], ""
    )
    pages["how_to/index.md"] = "[c](c.md), [a](a.md#x), [o](../other.md)"
    assert expanded(["other.md", {"B": "how_to/b.md"}, {"How": ["how_to/*", {"Deep": ["how_to/deep/*"]}]}], pages) == [
        "other.md",
        {"B": "how_to/b.md"},
        {"How": ["how_to/index.md", "how_to/c.md", "how_to/a.md", "how_to/e.md", {"Deep": ["how_to/deep/d.md"]}]},
    ]


@pytest.mark.parametrize(
    "page",
    [
        '<script src="https://unpkg.com/mermaid"></script>',
        '<script src="//cdn/x.js"></script>',
        '<link rel="stylesheet" href="https://fonts.googleapis.com/css">',
        '<link rel="preconnect" href="https://fonts.gstatic.com">',
        '<img src="http://example.org/a.png">',
        '<img src="a.png" srcset="https://example.org/a.png 2x">',
        "<style>@import 'https://example.org/a.css';</style>",
        '<p style="background: url(https://example.org/a.png)">',
        '<iframe src="https://example.org"></iframe>',
        '<pre class="mermaid"><code>a</code></pre>',
    ],
)
def test_what_a_page_loads_from_elsewhere_is_found(page: str, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.html").write_text(f"<html><body>{page}</body></html>")
    assert [each.split(": ")[0] for each in loaded_from_elsewhere(tmp_path)] == ["deep/a.html"]


def test_links_that_are_only_followed_and_files_of_the_site_are_no_fault(tmp_path: Path) -> None:
    body = '<a href="https://arxiv.org">a</a><script src="a.js"></script><img src="data:image/png;base64,xx//yy">'
    (tmp_path / "a.html").write_text(f'<link rel="canonical" href="https://example.org">{body}')
    (tmp_path / "a.css").write_text("p { background: url(a.png) }")
    assert list(loaded_from_elsewhere(tmp_path)) == []
    (tmp_path / "b.css").write_text("p { background: url(https://example.org/a.png) }")
    assert len(list(loaded_from_elsewhere(tmp_path))) == 1


def test_docstrings_become_markdown() -> None:
    doc = """First ``a | b`` of :func:`x.y`, a < b::

        code < code

    Raises:
        UsageError: it is < 0,
            as said.
        OSError: else.
    """
    shown = prose(doc)
    assert shown.startswith("First `a | b` of `x.y`, a &lt; b:\n\n    code < code\n")
    assert "* `UsageError`: it is &lt; 0,\nas said.\n* `OSError`: else." in shown
    assert table(["a"], [["x | `y | z`"]]).splitlines()[-1] == "| x &#124; `y | z` |"


def test_the_build_is_strict_and_not_quiet_which_would_switch_that_off() -> None:
    (command,) = [line for line in (ROOT / "Makefile").read_text().splitlines() if "mkdocs build" in line]
    assert "--strict" in command and "quiet" not in command and " -q" not in command
