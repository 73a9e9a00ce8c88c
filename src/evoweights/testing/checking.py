"""Runs the checks of one component: each rule on as many cases as the profile says, and a report of what was found."""

import contextlib
import unittest
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis.errors import Flaky

from evoweights.errors import UsageError, did_you_mean
from evoweights.testing.cases import Case, Cases
from evoweights.testing.compiling import measured
from evoweights.testing.profiles import Profile, profile_of
from evoweights.testing.report import EXPECTED, FAILED, PASSED, SKIPPED, UNEXPECTED, NonConforming, Report, Result
from evoweights.testing.requirements import need_assertions
from evoweights.testing.rules import Rule
from evoweights.testing.telling import forget_hypothesis_, told_of


@dataclass(frozen=True)
class Check:
    """One rule to be checked of one component; called, it raises where the rule is broken.

    ``cases`` is what the rule is tried on: the arguments after the component. ``refused`` is the rule that says why the
    component cannot be tried on any other, if it cannot.
    """

    rule: Rule
    component: Any
    label: str
    cases: Cases
    profile: Profile
    refused: str = ""

    @property
    def id(self) -> str:
        """As in ``EW-G04``."""
        return f"EW-{self.rule.id}"

    def skipped(self) -> str:
        """Why the rule does not apply to the component; empty if it does."""
        if self.refused not in ("", self.rule.id):
            return f"cannot be tried before EW-{self.refused} is kept"
        return self.rule.applies(self.component)

    def __call__(self) -> None:
        """Check it. Cases that the component refuses with a ``UsageError`` are left out.

        Raises:
            unittest.SkipTest: the rule does not apply, or nearly all is refused; pytest shows the reason.
            AssertionError: the rule is broken.
            UsageError: assertions are switched off.
        """
        __tracebackhide__ = True
        need_assertions()
        if reason := self.skipped():
            raise unittest.SkipTest(reason)
        refused: list[str] = []
        cases = list(self.cases.first(self.profile, self.rule.most))
        for case in cases:
            try:
                self.rule(self.component, *case)
            except UsageError as error:
                refused.append(str(error).splitlines()[0])
            except Exception:
                if self.profile.shrinks:
                    self._find_smaller()
                raise
        if len(refused) > 0.9 * len(cases):  # what is left says little: populations without a gene, say
            raise unittest.SkipTest(f"it refuses what the rule is tried on: {refused[0]}")

    def _find_smaller(self) -> None:
        """Raise for the smallest case that breaks the rule; do nothing if it is not broken every time."""
        __tracebackhide__ = True

        @self.profile.settings(self.rule.most)
        @given(case=self.cases.strategy)
        def checked(case: Case) -> None:
            with contextlib.suppress(UsageError):
                self.rule(self.component, *case)

        try:
            checked()
        except Flaky:
            return
        except Exception as error:
            forget_hypothesis_(error)
            raise error from None

    def result(self, expected: str = "") -> tuple[Result, BaseException | None]:
        """What became of it, and what it raised. ``expected`` is why it may fail, if it may."""
        raised = None
        try:
            with measured(self.component) as spent:
                self()
        except unittest.SkipTest as skip:
            return Result(self.id, self.rule.text, SKIPPED, str(skip)), None
        # Foreign code may raise anything: whatever it is, the rule is not kept. It is raised again by the caller.
        except Exception as error:
            raised = error
            if isinstance(error, MemoryError):
                raise
        status = (EXPECTED if expected else FAILED) if raised else (UNEXPECTED if expected else PASSED)
        told = f"{self.rule.text} {told_of(raised, self.component).text}" if raised else ""
        reason = expected if expected else told
        seconds, compiling = round(spent.seconds, 4), round(spent.compiling, 4)
        return Result(self.id, self.rule.text, status, reason, seconds, compiling), raised


Callback = Callable[[Result], None]


def run_checks(
    checks: Sequence[Check],
    *,
    expected_failures: Mapping[str, str] | None,
    on_fail: str | None,
    callback: Callback | None,
) -> Report:
    """The report of all checks of one component.

    ``expected_failures`` are reasons by rule, as ``G15`` or ``EW-G15``. ``on_fail`` is ``raise``, ``warn`` or None.

    Raises:
        NonConforming: with ``raise``, after all checks, if a rule is broken.
        UsageError: an unknown rule among the expected failures, another ``on_fail``, or assertions are switched off.
    """
    if on_fail not in ("raise", "warn", None):
        raise UsageError(f"on_fail: found {on_fail!r}, allowed are 'raise', 'warn' and None.")
    need_assertions()
    expected = expected_by_rule(expected_failures, checks)
    results, first = [], None
    for each in checks:
        result, raised = each.result(expected.get(each.rule.id, ""))
        first = first or (raised if result.status == FAILED else None)
        results.append(result)
        if callback is not None:
            callback(result)
    report = Report(checks[0].label, checks[0].profile.name, tuple(results))
    if report.failures and on_fail == "raise":
        raise NonConforming(report) from first
    if report.failures and on_fail == "warn":
        warnings.warn(str(NonConforming(report)), stacklevel=3)
    return report


def expected_by_rule(expected: Mapping[str, str] | None, checks: Sequence[Check]) -> dict[str, str]:
    """The reasons by the plain ids of rules.

    Raises:
        UsageError: a rule that is not checked, or no reason; or the rule without which no other can be tried.
    """
    known = [each.rule.id for each in checks]
    refused = {each.refused: each.label for each in checks if each.refused}
    found = {}
    for name, reason in (expected or {}).items():
        if (plain := name.removeprefix("EW-")) not in known:
            raise UsageError(f"expected_failures: no rule is called {name!r}.{did_you_mean(plain, known)}")
        if not reason:
            raise UsageError(f"expected_failures: {name}: say why it fails.")
        if plain in refused:
            raise UsageError(
                f"expected_failures: EW-{plain} of {refused[plain]} is broken in a way that keeps every other rule from being "
                "tried, and that no reason excuses. Check it without this one to see what is wrong."
            )
        found[plain] = reason
    return found


def checks_of(
    rules: Sequence[Rule], component: Any, label: str, cases: Cases, profile: str, *, refused: str = ""
) -> Iterator[Check]:
    """A check for every rule; ``refused`` is as of ``Check``."""
    chosen = profile_of(profile)
    for each in rules:
        yield Check(each, component, label, cases, chosen, refused)
