"""Components of a plugin that do not keep to the rules of settings: one message that names place and component."""

from pathlib import Path

import pytest

from evoweights.config.loading import load_config
from evoweights.errors import PluginError, UsageError

PLUGIN = '''
from dataclasses import dataclass, field
from evoweights import hookimpl, setting

@dataclass(frozen=True)
class Odd:
    """Does not keep to the rules."""

    name = "odd"
    source = "a test"

    size: int = setting(1, "how much")
    {}

@hookimpl
def register(catalog):
    catalog.add("operator", Odd)
'''
TEXT = """\
generations: 3
task: {name: toy, model: tiny}
population: {name: pop}
plugins: [./odd.py]
vary:
  - {name: odd, size: %s}
"""


def load(body: str, size: str = "2") -> None:
    Path("odd.py").write_text(PLUGIN.format(body))
    Path("run.yaml").write_text(TEXT % size)
    load_config("run.yaml")


def test_a_setting_with_the_name_of_one_of_its_entry_is_refused() -> None:
    with pytest.raises(
        PluginError, match=r"^odd \(.*odd\.py .*\): operator odd: a setting cannot be called every\. Rename"
    ):
        load("every: int = 1")


def test_a_type_that_no_configuration_can_hold_is_refused_with_its_place() -> None:
    with pytest.raises(
        PluginError, match=r"^vary\.0\.other: a setting cannot be of type .*set.* an Enum or a Literal, or"
    ):
        load("other: set = field(default_factory=set)")


@pytest.mark.parametrize("error", ["TypeError('sizes')", "RuntimeError('sizes')", "SystemExit(0)"])
def test_what_a_component_raises_while_it_is_made_is_its_plugins_fault(error: str) -> None:
    name, words = error.replace("'", "").split("(")
    found = rf"^run\.yaml:6: vary\.0: Odd cannot be made, its code raised {name}: {words[:-1]}\. Repair or replace its plugin"
    with pytest.raises(PluginError, match=found) as caught:
        load(f"def __post_init__(self): raise {error}")
    assert caught.value.exit_code == 5


def test_an_error_for_people_is_passed_on_as_it_is() -> None:
    body = "def __post_init__(self):\n        from evoweights.errors import ResourceError\n        raise ResourceError('no room')"
    with pytest.raises(Exception, match=r"^no room$") as caught:
        load(body)
    assert caught.value.exit_code == 7


def test_what_an_interpolation_gave_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOWEIGHTS_SIZE", "271828")
    with pytest.raises(PluginError, match=r"its code raised KeyError. Repair") as caught:
        load("def __post_init__(self): dict()[self.size]", "'${oc.env:EVOWEIGHTS_SIZE}'")
    assert "271828" not in str(caught.value)


def test_a_plugin_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(
        UsageError, match=r"plugins\.0: .*odd\.py: cannot be read \(Permission denied\)\. Correct its permissions"
    ):
        load("")
