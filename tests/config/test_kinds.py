"""Kinds of components that plugins open."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import pytest
from fake_components import Climb, Mix, Rank, Score

from evoweights.catalog import KINDS, Catalog, part
from evoweights.config.schema import describe, settings_of
from evoweights.errors import PluginError, UsageError


def test_kinds_are_listed_in_order_the_engines_first() -> None:
    catalog = Catalog()
    assert tuple(catalog.kinds) == KINDS
    one, other = catalog.registrar("one"), catalog.registrar("other")
    one.kind("shaping", "how losses become weights")
    other.kind("noise", "where directions come from")
    one.kind("aim", "what is wanted")
    assert tuple(catalog.kinds) == (*KINDS, "shaping", "noise", "aim")
    assert [catalog.kinds[each].provider for each in ("turn", "shaping", "noise")] == ["evoweights", "one", "other"]
    assert catalog.kinds["noise"].doc == "where directions come from"


def test_components_are_listed_in_the_order_of_their_kinds_and_then_by_name() -> None:
    catalog = Catalog()
    one, other = catalog.registrar("one"), catalog.registrar("other")
    one.kind("shaping", "how losses become weights")
    other.add("shaping", Score)
    one.add("shaping", Rank)
    one.add("operator", Mix)
    listed = [(each.kind, each.name, each.provider) for each in catalog.entries()]
    assert listed == [("operator", "mix", "one"), ("shaping", "rank", "one"), ("shaping", "score", "other")]
    assert [each.name for each in catalog.entries("shaping")] == ["rank", "score"]


def test_a_kind_that_is_opened_twice_names_both_plugins() -> None:
    catalog = Catalog()
    catalog.registrar("one").kind("shaping", "one thing")
    with pytest.raises(PluginError, match="'kind shaping' is taken twice: by one and by other"):
        catalog.registrar("other").kind("shaping", "another thing")
    with pytest.raises(PluginError, match="'kind operator' is taken twice: by evoweights and by other"):
        catalog.registrar("other").kind("operator", "another thing")


@pytest.mark.parametrize(("name", "doc"), [("Shaping", "what"), ("", "what"), ("two words", "what"), ("shaping", "")])
def test_a_kind_needs_a_name_and_words(name: str, doc: str) -> None:
    with pytest.raises(PluginError, match=f"mine: kind {name!r}: needs a name"):
        Catalog().registrar("mine").kind(name, doc)


def test_a_component_of_a_kind_that_nobody_opened_is_refused() -> None:
    with pytest.raises(PluginError, match=r"no kind 'shapings' is open.* Did you mean 'shaping'\?"):
        catalog = Catalog()
        catalog.registrar("mine").kind("shaping", "how losses become weights")
        catalog.registrar("mine").add("shapings", Rank)


def test_a_kind_that_has_no_component_is_said_to_have_none() -> None:
    with pytest.raises(UsageError, match=r"no turn is called 'any'\. There is no turn at all; name a plugin that adds"):
        Catalog().find("turn", "any", where="turn.name")
    with pytest.raises(UsageError, match=r"no preset is called 'any'\.$"):
        Catalog().find_preset("any")


def test_a_component_with_a_part_of_a_kind_that_nobody_opened_is_refused() -> None:
    catalog = Catalog()
    catalog.registrar("mine").kind("noise", "where directions come from")
    with pytest.raises(PluginError, match=r"Climb.*no kind 'shaping' is open"):
        catalog.registrar("mine").add("improve", Climb)


def test_a_component_that_is_looked_for_under_another_kind_is_pointed_out() -> None:
    catalog = Catalog()
    catalog.registrar("mine").kind("shaping", "how losses become weights")
    catalog.registrar("mine").add("shaping", Rank)
    with pytest.raises(UsageError, match=r"no operator is called 'rank'.*exists as a component of kind 'shaping'"):
        catalog.find("operator", "rank", where="vary.0.name")


def test_a_part_whose_default_is_no_component_is_refused() -> None:
    @dataclass(frozen=True)
    class Empty:
        """Holds nothing."""

        shaping: Rank | None = part("shaping", lambda: None, "nothing")

    with pytest.raises(PluginError, match=r"Empty\.shaping: its default None is no component"):
        settings_of(Empty)


def test_a_setting_whose_type_or_default_cannot_be_known_is_refused() -> None:
    @dataclass(frozen=True)
    class Absent:
        """Its type is known to type checkers only."""

        size: "Nowhere" = 1  # noqa: F821 - the mistake

    @dataclass(frozen=True)
    class Broken:
        """Its default cannot be made."""

        size: int = field(default_factory=lambda: 1 // 0)

    for component, cause in ((Absent, "NameError: name 'Nowhere'"), (Broken, "ZeroDivisionError: ")):
        words = (
            rf"{component.__name__}: the type or default of a setting cannot be known \({cause}.*Import types plainly"
        )
        with pytest.raises(PluginError, match=words):
            settings_of(component)


def test_the_default_of_a_part_is_made_when_it_is_needed() -> None:
    made = []

    @dataclass(frozen=True)
    class Late:
        """Holds a part that is costly to make."""

        name: ClassVar[str] = "late"
        source: ClassVar[str] = "nobody 2020"

        shaping: Rank = part("shaping", lambda: made.append(1) or Rank(5.0), "made late")

    assert not made
    assert Late(shaping=Rank()).shaping == Rank() and not made
    assert Late().shaping == Rank(5.0) and made == [1]


@pytest.mark.parametrize(("hint", "words"), [
    (dict[str, float], "a mapping, each value a number"),
    (list[int], "a list, each entry a whole number"),
    (str | None, "text or null"),
    (Literal["on", "off"], "one of on, off"),
])  # fmt: skip
def test_a_type_is_told_in_words(hint: Any, words: str) -> None:
    assert describe(hint) == words
