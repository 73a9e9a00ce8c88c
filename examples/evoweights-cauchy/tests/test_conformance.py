"""The operator keeps every rule of operators; its noise is of the Cauchy law, as it claims."""

from evoweights_cauchy import CauchyMutation

from evoweights.testing import parametrize_operators


@parametrize_operators([CauchyMutation()])
def test_contract(check):
    check()
