"""What pages of explanation call by name is there under that name."""

import re
from pathlib import Path

import pytest

import evoweights
from evoweights.config.run_config import GROUPS, ORDER, Phase
from evoweights.config.schema import settings_of
from evoweights.plugins.loading import load_plugins

EXPLANATION = Path(__file__).parents[2] / "docs" / "explanation"


@pytest.fixture(scope="module")
def known() -> set[str]:
    """The names of components, kinds, settings and sections, and of the public interface."""
    catalog = load_plugins(folder=Path()).catalog
    found = {*catalog.kinds, *ORDER, *evoweights.__all__}
    for entry in catalog.entries():
        found |= {entry.name, *settings_of(entry.component)}
    for group in (*GROUPS.values(), Phase):
        found |= set(settings_of(group))
    return found


def _named(page: str, column: int) -> set[str]:
    """Single words in code in a column of the page's tables."""
    rows = [
        line.strip("|").split("|") for line in (EXPLANATION / page).read_text().splitlines() if line.startswith("| ")
    ]
    return {word for row in rows if len(row) > column for word in re.findall(r"`([a-z_0-9]+)`", row[column])}


@pytest.mark.parametrize(("page", "column"), [("coming_from.md", 1), ("the_loop.md", 2)])
def test_every_component_and_setting_that_a_table_names_exists(page: str, column: int, known: set[str]) -> None:
    named = _named(page, column)
    assert len(named) > 15
    assert named - known == set()


def test_what_is_said_to_be_lacking_is_lacking(known: set[str]) -> None:
    text = (EXPLANATION / "coming_from.md").read_text()
    lacking = re.findall(r"^\| ([^|]*) \| lacking", text, flags=re.MULTILINE)
    names = {name for cell in lacking for name in re.findall(r"`([a-z_]+)`", cell)}
    assert {"slerp", "ties", "passthrough"} <= names
    assert names & known == set()
