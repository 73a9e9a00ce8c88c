"""The conformance kit for improvers."""

from collections.abc import Iterator, Mapping
from functools import lru_cache

from hypothesis import strategies as st

from evoweights.improvers import Improver
from evoweights.testing.cases import Cases
from evoweights.testing.checking import Callback, Check, checks_of, run_checks
from evoweights.testing.checks.improver import IMPROVER_RULES
from evoweights.testing.report import Report
from evoweights.testing.strategies import dtypes
from evoweights.testing.training_ground import Ground


@lru_cache(maxsize=4)
def _cases(backend: str) -> Cases:
    return Cases(st.tuples(st.builds(Ground, dtypes, st.integers(0, 2**32 - 1), st.just(backend))))


def improver_checks(improver: Improver, *, profile: str = "default", backend: str = "cpu") -> Iterator[Check]:
    """A check for every rule of improvers, on a module with parameters of all awkward sizes and a loss that is a plane."""
    yield from checks_of(IMPROVER_RULES, improver, improver.name, _cases(backend), profile)


def check_improver(
    improver: Improver,
    *,
    profile: str = "default",
    expected_failures: Mapping[str, str] | None = None,
    on_fail: str | None = "raise",
    callback: Callback | None = None,
) -> Report:
    """Check an improver against every rule of improvers; arguments and errors as of ``check_operator``.

    One that needs more than parameters and a loss, such as the layers of a language model, says so in its ``check``; the
    rules it cannot be tried on are then skipped.
    """
    checks = list(improver_checks(improver, profile=profile))
    return run_checks(checks, expected_failures=expected_failures, on_fail=on_fail, callback=callback)
