"""What the rewards that are shipped are worth."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evoweights.errors import PluginError
from evoweights_es.rewards import Length, LetterShare, as_number


@given(text=st.text(), letters=st.text(min_size=1))
def test_the_share_of_letters_is_one_and_grows_with_the_letters(text: str, letters: str) -> None:
    share = LetterShare(letters=letters).score("", text)
    assert 0.0 <= share <= LetterShare(letters=letters + text[:1]).score("", text) <= 1.0


@given(text=st.text(alphabet="abcxyz"))
def test_letters_are_counted_without_regard_to_case_and_prompt(text: str) -> None:
    rewards = LetterShare(letters="aB"), LetterShare(letters="Ab")
    found = {each.score(prompt, which) for each in rewards for prompt in ("", "ab") for which in (text, text.upper())}
    assert found == {(text.count("a") + text.count("b")) / max(len(text), 1)}


@given(text=st.text(), wanted=st.integers(0, 50))
def test_length_is_best_at_the_length_wanted_and_falls_by_one_a_character(text: str, wanted: int) -> None:
    reward = Length(characters=wanted)
    assert reward.score("", text) == -math.fabs(len(text) - wanted)
    assert reward.score("", "x" * wanted) == 0


def test_no_letters_are_refused() -> None:
    with pytest.raises(ValueError, match=r"letters: found none; give at least one"):
        LetterShare(letters="")


@pytest.mark.parametrize("found", ["high", "1.5", b"1", None, [1.0], 1j, 10**400])
def test_what_is_no_number_is_said_to_be_none(found):
    with pytest.raises(PluginError, match=r"reward commas: score gave .*; it must give a number"):
        as_number(found, reward="commas")


@pytest.mark.parametrize("found", [1, 1.5, True, -0.0, float("nan"), float("inf"), torch.tensor(2.0)])
def test_a_number_is_taken_as_it_is(found):
    assert as_number(found, reward="commas") == pytest.approx(float(found), nan_ok=True)
