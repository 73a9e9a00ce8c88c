"""The conformance kit: holds components of any plugin to the contract of their kind. Needs ``evoweights[testing]``.

The whole test file of an operator's author::

    from evoweights.testing import parametrize_operators

    @parametrize_operators([MyOperator()])
    def test_contract(check):
        check()

Beside the rules there are ``check_engine``, which tells random stories of runs with components of one's own; ``faults`` to put
into runs; ``strategies`` to draw genomes and populations from; and the pytest fixtures ``run_engine``, ``tiny_population`` and
``evoweights_plugins``.

A name is loaded when it is first used; without hypothesis that is a ``UsageError`` that says how to get it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from evoweights.testing.requirements import need_hypothesis

if TYPE_CHECKING:
    from evoweights.testing import faults, strategies
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
    from evoweights.testing.stateful import EngineMachine, check_engine, engine_machine
    from evoweights.testing.task_kit import check_task, task_checks
    from evoweights.testing.tiny_runs import config_in, population_digest, run_in

__all__ = [
    "Check",
    "EngineMachine",
    "NonConforming",
    "Report",
    "Result",
    "check_engine",
    "check_improver",
    "check_operator",
    "check_selection",
    "check_task",
    "check_turn",
    "config_in",
    "engine_machine",
    "faults",
    "improver_checks",
    "operator_checks",
    "parametrize_improvers",
    "parametrize_operators",
    "parametrize_selections",
    "parametrize_tasks",
    "parametrize_turns",
    "population_digest",
    "run_in",
    "selection_checks",
    "strategies",
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
    "stateful": ("EngineMachine", "check_engine", "engine_machine"),
    "task_kit": ("check_task", "task_checks"),
    "tiny_runs": ("config_in", "population_digest", "run_in"),
}

_MODULES = ("faults", "strategies")
_WITHOUT_HYPOTHESIS = ("faults", "tiny_runs")


def __getattr__(name: str) -> Any:
    home = name if name in _MODULES else next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if home not in _WITHOUT_HYPOTHESIS:
        need_hypothesis()
    module = import_module(f"evoweights.testing.{home}")
    return module if name in _MODULES else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
