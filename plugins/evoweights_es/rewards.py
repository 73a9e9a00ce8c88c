"""Rewards: what a text is worth, told by any function of it. Nothing is differentiated, so it may count, parse or look up."""

import reprlib
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, SupportsFloat

from evoweights.catalog import setting
from evoweights.errors import PluginError


@dataclass(frozen=True)
class Reward(ABC):
    """A component of kind ``reward``; higher is better."""

    name: ClassVar[str]
    source: ClassVar[str]

    @abstractmethod
    def score(self, prompt: str, text: str) -> float:
        """What ``text``, the continuation of ``prompt`` without it, is worth. NaN says that it cannot be judged."""


def as_number(found: object, *, reward: str) -> float:
    """What a reward gave, as a number; texts are none, even if they read like one.

    Raises:
        PluginError: it is no number.
    """
    if isinstance(found, SupportsFloat):
        with suppress(TypeError, ValueError, OverflowError):
            return float(found)
    raise PluginError(
        f"reward {reward}: score gave {reprlib.repr(found)}; it must give a number, or NaN if a text cannot be judged. The "
        "last checkpoint is intact."
    )


@dataclass(frozen=True)
class LetterShare(Reward):
    """The share of a text's characters that are one of the given letters, counted without regard to case."""

    name: ClassVar[str] = "letter_share"
    source: ClassVar[str] = "evoweights"

    letters: str = setting("e", "letters that count")

    def __post_init__(self) -> None:
        """Refuse to count nothing."""
        if not self.letters:
            raise ValueError("letters: found none; give at least one letter to count.")

    def score(self, prompt: str, text: str) -> float:
        """Between 0 and 1; an empty text is worth 0."""
        del prompt  # unused: only what was written counts
        wanted, written = set(self.letters.lower()), text.lower()
        return sum(each in wanted for each in written) / len(written) if written else 0.0


@dataclass(frozen=True)
class Length(Reward):
    """Minus the distance of a text's length from the length wanted, which teaches a model to be brief."""

    name: ClassVar[str] = "length"
    source: ClassVar[str] = "Qiu et al. 2025, arXiv 2509.24372, the conciseness task"

    characters: int = setting(20, "length wanted", unit="characters", minimum=0)

    def score(self, prompt: str, text: str) -> float:
        """At most 0."""
        del prompt  # unused: every answer should be as long
        return -abs(len(text) - self.characters)
