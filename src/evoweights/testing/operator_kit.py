"""The conformance kit for operators."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from hypothesis import strategies as st

from evoweights.genome import Layout
from evoweights.operators import GeneOperator, PairOperator
from evoweights.testing.cases import Cases
from evoweights.testing.checking import Callback, Check, checks_of, run_checks
from evoweights.testing.checks import OPERATOR_RULES
from evoweights.testing.checks.repeating import built
from evoweights.testing.grounds import draws, forget, label, why_not_launched
from evoweights.testing.holding import held
from evoweights.testing.parents import rows_of
from evoweights.testing.report import Report


@lru_cache(maxsize=16)
def _cases(backend: str, shares: tuple[float, ...], is_wide: bool, rows: int, among: tuple[Layout, ...]) -> Cases:
    return Cases(st.tuples(st.just(backend), draws(shares=shares, is_wide=is_wide, rows=rows, among=among)))


def operator_checks(
    operator: PairOperator, *, profile: str = "default", backend: str | None = None, layouts: Sequence[Layout] = ()
) -> Iterator[Check]:
    """A check for every rule of operators, those that do not apply included.

    The operator is checked on all tensors, with the first individual as the source of the others; its other settings are
    its own. One that says itself whom it rewrites has that said by the kit, with individuals that nobody rewrites as further
    parents. A gene kernel is compiled for the ``backend``, the CPU if None, and its bits are compared with those of its body;
    what is written in plain torch is not shown extreme genes, whose overflow the engine refuses.
    """
    by_kernel = isinstance(operator, GeneOperator)
    shares = (0.3, 0.0, 1.0) if by_kernel else (0.0,)
    # A wide choice of layouts takes longer to draw than they take to be checked.
    where = backend or "cpu" if by_kernel else "reference"
    cases = _cases(where, shares, profile == "thorough", rows_of(operator), tuple(layouts))
    there = held(operator)
    refused = built.id if isinstance(there, GeneOperator) and why_not_launched(there) else ""
    yield from checks_of(OPERATOR_RULES, there, label(operator), cases, profile, refused=refused)


def check_operator(
    operator: PairOperator,
    *,
    profile: str = "default",
    expected_failures: Mapping[str, str] | None = None,
    on_fail: str | None = "raise",
    callback: Callback | None = None,
    layouts: Sequence[Layout] = (),
) -> Report:
    """Check an operator against every rule that applies to it, and report on all of them.

    ``profile`` is ``quick``, ``default`` or ``thorough``: 25, 100 or 2,000 cases a rule. ``expected_failures`` gives a
    reason for each rule, as ``{"EW-G15": "why"}``, that may be broken; one that is not broken then counts as a failure.
    ``on_fail`` is ``raise``, ``warn`` or None. ``callback`` is given every result as soon as it is there. ``layouts`` are those
    that an operator can work on if it is not for any tensors, such as ``layout_of(module, names)``; it refuses others with a
    ``UsageError``, and rules that need them are skipped.

    Raises:
        NonConforming: a rule is broken, and ``on_fail`` is ``raise``; it has the report.
        UsageError: an argument that does not exist.
    """
    checks = list(operator_checks(operator, profile=profile, layouts=layouts))
    try:
        return run_checks(checks, expected_failures=expected_failures, on_fail=on_fail, callback=callback)
    finally:
        forget()
