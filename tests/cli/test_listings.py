import json
from pathlib import Path

import pytest
from command_line import CommandLine

from evoweights.cli.units import duration_text, size_text
from evoweights.plugins.loading import load_plugins
from evoweights.plugins.sources import BUILT_IN, Plugin

KINDS = tuple(load_plugins(folder=Path()).catalog.kinds)
PARTS = """
from dataclasses import dataclass

from evoweights import hookimpl
from evoweights.catalog import part, setting


@dataclass(frozen=True)
class Soft:
    "Is soft."
    name = "soft"
    source = "me"
    share: float = setting(0.5, "how much")


@dataclass(frozen=True)
class Host:
    "Holds others."
    name = "host"
    source = "me"
    cushion: Soft = part("cushion", Soft, "to sit on")
    spare: Soft = part("cushion", lambda: Soft(0.25), "to lie on")


@hookimpl
def register(catalog):
    catalog.kind("cushion", "what is under something")
    catalog.add("cushion", Soft)
    catalog.add("operator", Host)
"""


def broken() -> Plugin:
    def load() -> None:
        raise ImportError("no module named x")

    return Plugin("mine", "evoweights-mine", "0.3", False, load)


def test_built_in_plugins_are_active(evoweights: CommandLine) -> None:
    shown = evoweights("plugins").out
    found = json.loads(evoweights("plugins", "--json").out)
    official = [each for each in found if each["official"]]
    assert [each["name"] for each in official] == list(BUILT_IN)
    for each in official:
        assert each["status"] == "active" and each["reason"] == "" and each["components"]
        assert each["name"] in shown


def test_broken_plugin_is_listed_and_stops_nothing(evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evoweights.plugins.listing.installed_plugins", lambda: [broken()])
    shown = evoweights("plugins")
    assert shown.code == 0 and "mine" in shown.out and "FAILED" in shown.out and "no module named x" in shown.out
    (row,) = [each for each in json.loads(evoweights("plugins", "--json").out) if not each["official"]]
    assert (row["distribution"], row["version"], row["status"]) == ("evoweights-mine", "0.3", "failed")
    assert "broken" in evoweights("doctor").out


def test_every_component_is_listed_with_its_settings(evoweights: CommandLine) -> None:
    shown = evoweights("operators").out
    entries = json.loads(evoweights("operators", "--json").out)
    assert {each["kind"] for each in entries} == set(KINDS)
    for entry in entries:
        assert f"{entry['kind']} {entry['name']}" in shown and entry["source"] and entry["summary"]
        for setting in entry["settings"]:
            assert setting["doc"] and setting["type"] and setting["name"] in shown
            assert setting["required"] == (setting["default"] is None) or "null" in setting["type"]


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_can_be_listed(kind: str, evoweights: CommandLine) -> None:
    entries = json.loads(evoweights("operators", "--kind", kind, "--json").out)
    assert entries and {each["kind"] for each in entries} == {kind}


def test_unknown_kind_is_refused(evoweights: CommandLine) -> None:
    outcome = evoweights("operators", "--kind", "operater")
    assert outcome.code == 2 and "Did you mean 'operator'?" in outcome.err


def test_component_of_a_file_is_listed_on_request(evoweights: CommandLine) -> None:
    code = (
        "from dataclasses import dataclass\nfrom evoweights import hookimpl\n\n"
        "@dataclass(frozen=True)\nclass Mine:\n    'Does mine.'\n    name = 'mine'\n    source = 'me'\n\n"
        "@hookimpl\ndef register(catalog):\n    catalog.add('operator', Mine)\n"
    )
    Path("mine.py").write_text(code)
    assert "operator mine" in evoweights("operators", "--plugin", "./mine.py").out


def test_a_part_is_listed_with_its_kind_and_its_default(evoweights: CommandLine) -> None:
    Path("mine.py").write_text(PARTS)
    shown = " ".join(evoweights("operators", "--plugin", "./mine.py").out.split())
    assert "cushion = soft to sit on (a cushion component)" in shown
    assert "spare = {name: soft, share: 0.25} to lie on (a cushion component)" in shown
    entries = json.loads(evoweights("operators", "--kind", "operator", "--plugin", "./mine.py", "--json").out)
    (cushion, spare) = next(each for each in entries if each["name"] == "host")["settings"]
    assert (cushion["kind"], cushion["type"], cushion["required"]) == ("cushion", "a cushion component", False)
    assert cushion["default"] == {"name": "soft", "share": 0.5} and spare["default"] == {"name": "soft", "share": 0.25}
    assert {setting["kind"] for each in entries if each["name"] != "host" for setting in each["settings"]} == {None}


def test_a_kind_that_a_plugin_opened_can_be_listed(evoweights: CommandLine) -> None:
    Path("mine.py").write_text(PARTS)
    shown = evoweights("operators", "--kind", "cushion", "--plugin", "./mine.py").out
    assert "Components of kind cushion: what is under something (mine" in shown and "cushion soft" in shown
    assert "operator" not in shown
    outcome = evoweights("operators", "--kind", "cushoin", "--plugin", "./mine.py")
    assert outcome.code == 2 and "Did you mean 'cushion'? Known: control, cushion, " in outcome.err
    assert all(each in outcome.err for each in KINDS)


def test_doctor_examines_the_machine(evoweights: CommandLine) -> None:
    outcome = evoweights("doctor")
    assert outcome.code == 0
    for word in ("python", "torch", "backend cpu", "backend triton", "disk", "fsync", "plugins", "hub"):
        assert f"  {word}" in outcome.out


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1_500_000, "1.5 MB"), (123_456_789, "123 MB"), (2**40, "1.1 TB")],
)
def test_sizes_are_written_in_a_fitting_unit(count: int, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0.00008, "80 us"), (0.34, "340 ms"), (5.0, "5.0 s"), (12.4, "12 s"), (60, "1 min"), (303, "5 min 3 s")),
        *((3600, "1 h"), (25_920, "7 h 12 min"), (187_200, "2 d 4 h")),
    ],
)
def test_durations_are_written_in_a_fitting_unit(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
