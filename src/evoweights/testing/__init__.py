"""The conformance kit: holds components of any plugin to the contract of their kind. Needs ``evoweights[testing]``.

The whole test file of an operator's author::

    from evoweights.testing import parametrize_operators

    @parametrize_operators([MyOperator()])
    def test_contract(check):
        check()
"""

from evoweights.testing.checking import Check
from evoweights.testing.choice_kits import check_selection, check_turn, selection_checks, turn_checks
from evoweights.testing.operator_kit import check_operator, operator_checks
from evoweights.testing.parametrizing import parametrize_operators, parametrize_selections, parametrize_turns
from evoweights.testing.report import NonConforming, Report, Result

__all__ = [
    "Check",
    "NonConforming",
    "Report",
    "Result",
    "check_operator",
    "check_selection",
    "check_turn",
    "operator_checks",
    "parametrize_operators",
    "parametrize_selections",
    "parametrize_turns",
    "selection_checks",
    "turn_checks",
]
