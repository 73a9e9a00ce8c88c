"""The end of a message about a name that is not known."""

from hypothesis import given
from hypothesis import strategies as st

from evoweights.errors import did_you_mean

NAMES = st.text("abcxyz_", min_size=1, max_size=8)


@given(NAMES, st.sets(NAMES, min_size=1))
def test_what_is_known_is_listed_in_order_and_what_is_near_is_one_of_it(name: str, known: set[str]) -> None:
    end = did_you_mean(name, known, none="There is none.")
    near, _, listed = end.partition(" Known: ")
    assert listed == f"{', '.join(sorted(known))}."
    assert near == "" or near in {f" Did you mean {each!r}?" for each in known}
    assert name not in known or near == f" Did you mean {name!r}?"


@given(NAMES)
def test_where_nothing_is_known_it_is_said_in_words_or_not_at_all(name: str) -> None:
    assert did_you_mean(name, []) == ""
    assert did_you_mean(name, [], none="There is none.") == " There is none."
