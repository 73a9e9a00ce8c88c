"""The kit under pytest: one test for every rule and component."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from evoweights.errors import UsageError, did_you_mean
from evoweights.improvers import Improver
from evoweights.operators import PairOperator, Selection, TurnRule
from evoweights.task import TaskSettings
from evoweights.testing.checking import Check, expected_by_rule
from evoweights.testing.choice_kits import selection_checks, turn_checks
from evoweights.testing.improver_kit import improver_checks
from evoweights.testing.operator_kit import operator_checks
from evoweights.testing.task_kit import task_checks

if TYPE_CHECKING:
    from pytest import MarkDecorator

    from evoweights.genome import Layout

Checks = Callable[..., Iterable[Check]]
"""Makes the checks of a component for a profile."""


def parametrize(
    components: Iterable[Any], checks: Checks, expected: Mapping[str, Mapping[str, str]] | None, profile: str
) -> "MarkDecorator":
    """A mark that gives a test function its argument ``check``, once for each rule and component.

    ``expected`` has reasons by component (its name) and rule.

    Raises:
        UsageError: a component or a rule that is not checked, or no reason.
    """
    import pytest

    cases, told, components = [], dict(expected or {}), list(components)
    names = {each.name for each in components}
    for name in sorted(told.keys() - names):
        raise UsageError(f"expected_failures: no component is called {name!r}.{did_you_mean(name, names)}")
    for component in components:
        made = list(checks(component, profile=profile))
        reasons = expected_by_rule(told.get(component.name), made)
        for each in made:
            marks = []
            if reason := each.skipped():
                marks.append(pytest.mark.skip(reason=reason))
            if each.rule.id in reasons:
                marks.append(pytest.mark.xfail(reason=reasons[each.rule.id], strict=True))
            cases.append(pytest.param(each, id=f"{each.id}[{each.label}]", marks=marks))
    return pytest.mark.parametrize("check", cases)


def parametrize_operators(
    operators: Iterable[PairOperator],
    *,
    expected_failures: Mapping[str, Mapping[str, str]] | None = None,
    profile: str = "default",
    layouts: "Sequence[Layout]" = (),
) -> "MarkDecorator":
    """One test for each rule and operator, named like ``EW-G04[my_operator]``.

    ``expected_failures`` gives reasons by the operator's name and the rule: ``{"my_operator": {"EW-G15": "why"}}``; a rule
    that is kept all the same fails its test. ``layouts`` are as of ``check_operator``.
    """
    return parametrize(operators, partial(operator_checks, layouts=layouts), expected_failures, profile)


def parametrize_selections(
    selections: Iterable[Selection],
    *,
    expected_failures: Mapping[str, Mapping[str, str]] | None = None,
    profile: str = "default",
) -> "MarkDecorator":
    """One test for each rule and selection; arguments as of ``parametrize_operators``."""
    return parametrize(selections, selection_checks, expected_failures, profile)


def parametrize_turns(
    turns: Iterable[TurnRule],
    *,
    expected_failures: Mapping[str, Mapping[str, str]] | None = None,
    profile: str = "default",
) -> "MarkDecorator":
    """One test for each rule and turn; arguments as of ``parametrize_operators``."""
    return parametrize(turns, turn_checks, expected_failures, profile)


def parametrize_improvers(
    improvers: Iterable[Improver],
    *,
    expected_failures: Mapping[str, Mapping[str, str]] | None = None,
    profile: str = "default",
) -> "MarkDecorator":
    """One test for each rule and improver; arguments as of ``parametrize_operators``."""
    return parametrize(improvers, improver_checks, expected_failures, profile)


def parametrize_tasks(
    tasks: Iterable[TaskSettings],
    *,
    expected_failures: Mapping[str, Mapping[str, str]] | None = None,
    profile: str = "default",
) -> "MarkDecorator":
    """One test for each rule and task, given as its settings; arguments as of ``parametrize_operators``."""
    return parametrize(tasks, task_checks, expected_failures, profile)
