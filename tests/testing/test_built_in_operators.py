"""Every operator of the first-party plugins conforms, with its defaults and with other settings."""

from evoweights.testing import parametrize_operators
from operators_under_test import OPERATORS


@parametrize_operators(OPERATORS, profile="quick")
def test_contract(check):
    check()
