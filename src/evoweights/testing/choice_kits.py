"""The conformance kits for selections and turns."""

from collections.abc import Iterator, Mapping
from functools import cache

from hypothesis import strategies as st

from evoweights.operators import Selection, TurnRule
from evoweights.seeds import Noise
from evoweights.testing.cases import Cases
from evoweights.testing.checking import Callback, Check, checks_of, run_checks
from evoweights.testing.checks.selection import SELECTION_RULES
from evoweights.testing.checks.turn import TURN_RULES
from evoweights.testing.report import Report
from evoweights.testing.strategies import fitnesses, seeds

_noises = st.builds(Noise, seeds, st.just("check"))


@cache
def _selections() -> Cases:
    return Cases(st.tuples(fitnesses, _noises))


@cache
def _turns() -> Cases:
    return Cases(st.tuples(st.integers(0, 10**6), st.integers(1, 9), _noises))


def selection_checks(selection: Selection, *, profile: str = "default") -> Iterator[Check]:
    """A check for every rule of selections."""
    yield from checks_of(SELECTION_RULES, selection, selection.name, _selections(), profile)


def check_selection(
    selection: Selection,
    *,
    profile: str = "default",
    expected_failures: Mapping[str, str] | None = None,
    on_fail: str | None = "raise",
    callback: Callback | None = None,
) -> Report:
    """Check a selection against every rule that applies to it; arguments and errors as of ``check_operator``."""
    checks = list(selection_checks(selection, profile=profile))
    return run_checks(checks, expected_failures=expected_failures, on_fail=on_fail, callback=callback)


def turn_checks(turn: TurnRule, *, profile: str = "default") -> Iterator[Check]:
    """A check for every rule of turns."""
    yield from checks_of(TURN_RULES, turn, turn.name, _turns(), profile)


def check_turn(
    turn: TurnRule,
    *,
    profile: str = "default",
    expected_failures: Mapping[str, str] | None = None,
    on_fail: str | None = "raise",
    callback: Callback | None = None,
) -> Report:
    """Check a turn against every rule of turns; arguments and errors as of ``check_operator``."""
    checks = list(turn_checks(turn, profile=profile))
    return run_checks(checks, expected_failures=expected_failures, on_fail=on_fail, callback=callback)
