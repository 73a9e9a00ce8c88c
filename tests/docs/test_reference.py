"""The generated reference has everything that there is."""

import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import evoweights
from evoweights import hookspecs, setting
from evoweights.catalog import Catalog
from evoweights.cli.app import EXIT_CODES, app
from evoweights.config.run_config import ORDER
from evoweights.config.schema import settings_of
from evoweights.plugins.loading import hook_names, new_manager
from evoweights.testing.contract import contract
from making.benchmarks import RESULTS, benchmark_pages
from making.command_line import command_pages, commands_of
from making.components import built_in_catalog, component_pages, kind_page
from making.configuration import configuration_pages
from making.contract import contract_pages
from making.plugin_hooks import RECORDS, hook_pages
from making.python_api import MODULES, public_names, python_pages
from making.text import escaped

ROOT = Path(__file__).parents[2]
CATALOG = built_in_catalog()


@cache
def component_reference() -> Mapping[str, str]:
    return component_pages()


def section(page: str, name: str) -> str:
    """The text below a heading, up to the next of its level."""
    found = re.search(
        rf"^## {re.escape(name)}(?: \{{[^\n]*\}})?\n(.*?)(?=^## |\Z)", page, flags=re.MULTILINE | re.DOTALL
    )
    assert found is not None, f"there is no section {name}"
    return found[1]


def cells(row: str) -> list[str]:
    return [each.strip() for each in row.strip().strip("|").split(" | ")]


@pytest.mark.parametrize("entry", list(CATALOG.entries()), ids=lambda each: f"{each.kind}-{each.name}")
def test_every_component_has_its_entry_and_every_setting_its_row(entry) -> None:
    shown = section(component_reference()[f"reference/components/{entry.kind}.md"], entry.name)
    assert escaped(entry.source) in shown and f"`{entry.provider}`" in shown
    assert " ".join(entry.summary.replace("``", "`").split())[:40].split("<")[0] in " ".join(shown.split())
    rows = {cells(line)[0].strip("`"): line for line in shown.splitlines() if line.startswith("| `")}
    settings = settings_of(entry.component)
    assert rows.keys() == settings.keys()
    for name, each in settings.items():
        for fact in (each.facts.get("unit"), each.facts.get("doc"), *(each.facts.get("choices") or ())):
            assert escaped(" ".join(str(fact or "").split())).replace("|", "&#124;") in rows[name]
        for bound in (each.facts.get("minimum"), each.facts.get("maximum")):
            assert bound is None or str(bound) in rows[name]


def test_every_kind_has_a_page_and_nothing_else_has() -> None:
    pages = [name for name in component_reference() if name.startswith("reference/components/")]
    assert pages == [f"reference/components/{kind}.md" for kind in CATALOG.kinds]
    assert len(list(CATALOG.entries())) > 60


def test_a_component_of_a_new_kind_is_shown_with_what_it_declares() -> None:
    @dataclass(frozen=True)
    class Made:
        """Made here, for a < b."""

        name, source = "made", "a | b"
        share: float = setting(doc="a share", unit="part", minimum=0.25, maximum=0.75)
        how: str = setting("so", "how", choices=("so", "thus"))

    catalog = Catalog()
    registrar = catalog.registrar("somebody")
    registrar.kind("sort", "sorts of things")
    registrar.add("sort", Made)
    shown = section(kind_page("sort", catalog), "made")
    assert "Made here, for a &lt; b." in shown
    assert "| source | a &#124; b |" in shown
    assert "| `share` | a number | required | part | 0.25 to 0.75 | a share |" in shown
    assert "| `how` | text | `so` |  | `so`, `thus` | how |" in shown


@pytest.mark.parametrize("preset", list(CATALOG.presets.values()), ids=lambda each: each.name)
def test_every_preset_shows_what_it_sets(preset) -> None:
    shown = section(component_reference()["reference/presets.md"], preset.name)
    assert escaped(preset.doc) in shown
    for key in preset.values:
        assert f"\n{key}:" in shown


@pytest.mark.parametrize("name", hook_names(new_manager()))
def test_every_hook_is_there_with_its_arguments(name: str) -> None:
    shown = section(hook_pages()["reference/hooks.md"], name)
    for argument in inspect.signature(getattr(hookspecs, name)).parameters:
        assert f"| `{argument}` |" in shown


@pytest.mark.parametrize("record", RECORDS, ids=lambda each: each.__name__)
def test_every_record_is_there_with_its_fields(record: type) -> None:
    shown = section(hook_pages()["reference/records.md"], record.__name__)
    for name in inspect.signature(record).parameters:
        assert f"| `{name}` |" in shown


def test_every_command_is_there_with_its_options() -> None:
    import typer

    page = command_pages()["reference/command_line.md"]
    found = dict(commands_of(typer.main.get_command(app), "evoweights"))
    assert {"evoweights run", "evoweights plugins new", "evoweights kernels show"} <= found.keys()
    for path, command in found.items():
        shown = section(page, path)
        for each in command.params:
            for option in each.opts if each.param_type_name == "option" else [each.metavar or each.name]:
                assert option.lower() in shown.lower(), (path, option)


def test_every_exit_code_is_there() -> None:
    shown = section(command_pages()["reference/command_line.md"], "Exit codes")
    numbers = re.findall(r"^\s+(\d+)\s", EXIT_CODES, flags=re.MULTILINE)
    assert re.findall(r"^\| `(\d+)` \|", shown, flags=re.MULTILINE) == numbers
    assert "| `5` | a plugin raised or broke its contract | `PluginError` |" in shown


def test_every_key_of_a_configuration_is_there() -> None:
    (page,) = configuration_pages().values()
    for key in ORDER:
        assert f"\n## {key}\n" in page or f"| `{key}` |" in page


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_there(module: str) -> None:
    page = python_pages()[f"reference/python/{module}.md"]
    names = public_names(__import__(module, fromlist=["x"]))
    assert len(names) > 5
    for name in names:
        assert section(page, name).strip()


def test_public_names_are_those_that_are_exported() -> None:
    assert set(public_names(evoweights)) == set(evoweights.__all__) - {"errors", "__version__"}


def test_every_rule_of_the_contract_is_there_with_what_it_demands() -> None:
    (page,) = contract_pages().values()
    for each in contract():
        assert page.count(f"| `EW-{each.id}` |") == 1
        assert each.text and escaped(each.text).replace("|", "&#124;") in page
    assert "`check_engine(configuration)` holds runs with components of your own to `EW-R01` to `EW-R09`." in page


def test_every_rule_of_the_engine_names_the_test_that_authors_can_run_themselves() -> None:
    for each in contract():
        assert (each.id[0] == "R") == any("test_stateful_engine.py" in test for test in each.tests)


@pytest.mark.parametrize("file", sorted(RESULTS.glob("*.json")), ids=lambda each: each.stem)
def test_every_result_is_there_with_its_command_and_a_row_for_every_figure(file: Path) -> None:
    shown = section(benchmark_pages()["reference/benchmarks.md"], file.stem)
    assert "python benchmarks/" in shown
    rows = json.loads(file.read_text()).get("rows", [])
    figures = sum(len(row.get("contestants", [row])) for row in rows)
    tables = re.findall(r"(?:^\|.*\n)+", shown, flags=re.MULTILINE)
    assert not rows or len(tables[-1].splitlines()) == figures + 2


def test_every_environment_variable_is_there() -> None:
    page = (ROOT / "docs" / "reference" / "environment.md").read_text()
    sources = [each for part in ("src", "plugins", "kernels") for each in (ROOT / part).rglob("*.py")]
    read = {name for each in sources for name in re.findall(r"\bEVOWEIGHTS_[A-Z]+[A-Z_]*[A-Z]\b", each.read_text())}
    read -= {"EVOWEIGHTS_API", "EVOWEIGHTS_DATA", "EVOWEIGHTS_X"}  # a constant of plugins; examples of any name
    assert len(read) >= 5
    assert read == set(re.findall(r"^\| `(EVOWEIGHTS_[A-Z_]+[A-Z])`", page, flags=re.MULTILINE))
