"""What MkDocs calls while it builds the site: adds the pages that are made, and sees to links, navigation and foreign files."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

from making.benchmarks import benchmark_pages
from making.command_line import command_pages
from making.components import component_pages
from making.configuration import configuration_pages
from making.contract import contract_pages
from making.gallery import gallery_files
from making.links import for_the_site, linked_paths, without_notes
from making.navigation import expanded
from making.offline import loaded_from_elsewhere
from making.places import ROOT, outside_pages, places_of
from making.plugin_hooks import hook_pages
from making.python_api import python_pages
from making.shown import shown_pages

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

REFERENCE = "reference/index.md"


@cache
def made_files() -> dict[str, str]:
    """The text of everything that is made from the program itself, by its place on the site."""
    pages = component_pages() | configuration_pages() | command_pages() | hook_pages() | python_pages()
    return pages | contract_pages() | benchmark_pages() | gallery_files()


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """Add the pages from outside ``docs/``, those that are made, and those that show what others link to."""
    outside = outside_pages()
    made = {uri: (ROOT / path).read_text(encoding="utf-8") for path, uri in outside.items()} | made_files()
    for uri, text in made.items():
        if old := files.get_file_from_path(uri):
            files.remove(old)
        files.append(File.generated(config, uri, content=text))
    places = places_of((each.src_uri for each in files if each.inclusion.is_included()), outside)
    pages = {each.src_uri: each.content_string for each in files.documentation_pages()}
    paths = {uri: path for path, uri in outside.items()}
    linked = [
        target for uri, text in pages.items() for target in linked_paths(text, path=paths.get(uri, f"docs/{uri}"))
    ]
    for path, (uri, text) in shown_pages(each for each in linked if each not in places).items():
        files.append(File.generated(config, uri, content=text))
        places[path] = uri
    config.extra["places"] = places
    config.nav = expanded(config.nav or [], pages)
    return files


def on_page_markdown(markdown: str, page: "Page", config: "MkDocsConfig", files: "Files") -> str:
    """Make the links of a page those of the site, and leave out its notes for the tests."""
    del files  # unused: the places are known
    uri = page.file.src_uri
    if uri == REFERENCE:
        markdown += f"\n## Made from the program\n\n{_made_reference()}"
    paths = {place: path for path, place in outside_pages().items()}
    return for_the_site(
        without_notes(markdown), path=paths.get(uri, f"docs/{uri}"), uri=uri, places=config.extra["places"]
    )


def _made_reference() -> str:
    """A list of the pages of the reference that are made."""
    pages = {uri: text for uri, text in made_files().items() if uri.startswith("reference/") and uri.endswith(".md")}
    titles = {uri: text.partition("\n")[0].removeprefix("# ") for uri, text in pages.items()}
    return "".join(f"* [{title}]({uri.removeprefix('reference/')})\n" for uri, title in titles.items())


def on_post_build(config: "MkDocsConfig") -> None:
    """End the build if a page would load something from elsewhere."""
    if found := list(loaded_from_elsewhere(Path(config.site_dir))):
        raise PluginError("The site has to work without a network, but would load:\n" + "\n".join(found))
