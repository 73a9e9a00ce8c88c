"""The cases that rules are tried on: hypothesis draws them once, and every rule of a component is tried on the same."""

import itertools
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from evoweights.testing.profiles import Profile

Case = tuple[Any, ...]
"""The arguments of a rule after the component."""


class Cases:
    """What a strategy gives: drawn when it is first asked for, and kept, because drawing takes longer than most checks."""

    def __init__(self, strategy: "st.SearchStrategy[Case]") -> None:
        self.strategy = strategy
        self._drawn: dict[str, list[Case]] = {}

    def first(self, profile: Profile, most: int | None) -> Iterator[Case]:
        """The first cases of a profile, at most so many; lists in them are the caller's own."""
        if profile.name not in self._drawn:
            self._drawn[profile.name] = self._draw(profile)
        for case in itertools.islice(self._drawn[profile.name], most):
            yield tuple(list(each) if isinstance(each, list) else each for each in case)

    def _draw(self, profile: Profile) -> list[Case]:
        made: list[Case] = []

        @profile.settings(None)
        @given(case=self.strategy)
        def drawn(case: Case) -> None:
            made.append(case)

        drawn()
        return made
