"""What a component declares of its settings is what a configuration could give them."""

import re
from dataclasses import dataclass

import pytest

from evoweights.catalog import setting
from evoweights.config.defaults import check_settings
from evoweights.errors import PluginError


@dataclass(frozen=True)
class TooLarge:
    share: float = setting(9.0, "a share", maximum=1.0)


@dataclass(frozen=True)
class Crossed:
    share: float = setting(0.5, "a share", minimum=1.0, maximum=0.0)


@dataclass(frozen=True)
class OfAnotherType:
    share: float = "much"


@dataclass(frozen=True)
class Named:
    name: str = "mine"


@dataclass(frozen=True)
class Timed:
    every: int = 2


@pytest.mark.parametrize(
    ("component", "kind", "says"),
    [
        (TooLarge, "task", "TooLarge: a setting does not allow its own default: share: found 9.0; expected a number"),
        (
            Crossed,
            "task",
            "Crossed: a setting does not allow its own default: share: found 0.5; expected a number from 1.0",
        ),
        (OfAnotherType, "task", "share: found 'much'; expected a number. Correct one of the two."),
        (Named, "task", "Named: a setting cannot be called name. Rename it."),
        (Timed, "operator", "Timed: a setting cannot be called every. Rename it."),
    ],
)
def test_what_no_configuration_could_give_is_refused(component, kind, says):
    with pytest.raises(PluginError, match=re.escape(says)):
        check_settings(kind, component)


def test_what_is_reserved_for_operators_is_free_elsewhere():
    check_settings("task", Timed)
