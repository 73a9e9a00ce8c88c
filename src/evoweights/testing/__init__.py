"""The conformance kit: holds components of any plugin to the contract of their kind. Needs ``evoweights[testing]``.

The whole test file of an operator's author::

    from evoweights.testing import parametrize_operators

    @parametrize_operators([MyOperator()])
    def test_contract(check):
        check()

A name is loaded when it is first used; without hypothesis that is a ``UsageError`` that says how to get it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from evoweights.testing.requirements import need_hypothesis

if TYPE_CHECKING:
    from evoweights.testing.checking import Check
    from evoweights.testing.choice_kits import check_selection, check_turn, selection_checks, turn_checks
    from evoweights.testing.improver_kit import check_improver, improver_checks
    from evoweights.testing.operator_kit import check_operator, operator_checks
    from evoweights.testing.parametrizing import (
        parametrize_improvers,
        parametrize_operators,
        parametrize_selections,
        parametrize_tasks,
        parametrize_turns,
    )
    from evoweights.testing.report import NonConforming, Report, Result
    from evoweights.testing.task_kit import check_task, task_checks

__all__ = [
    "Check",
    "NonConforming",
    "Report",
    "Result",
    "check_improver",
    "check_operator",
    "check_selection",
    "check_task",
    "check_turn",
    "improver_checks",
    "operator_checks",
    "parametrize_improvers",
    "parametrize_operators",
    "parametrize_selections",
    "parametrize_tasks",
    "parametrize_turns",
    "selection_checks",
    "task_checks",
    "turn_checks",
]

_HOMES = {
    "checking": ("Check",),
    "choice_kits": ("check_selection", "check_turn", "selection_checks", "turn_checks"),
    "improver_kit": ("check_improver", "improver_checks"),
    "operator_kit": ("check_operator", "operator_checks"),
    "parametrizing": (
        *("parametrize_improvers", "parametrize_operators", "parametrize_selections"),
        *("parametrize_tasks", "parametrize_turns"),
    ),
    "report": ("NonConforming", "Report", "Result"),
    "task_kit": ("check_task", "task_checks"),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            need_hypothesis()
            return getattr(import_module(f"evoweights.testing.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
