"""The operator and the selection keep every rule of their kinds, and what they claim in their traits is so.

The kit says whom the operator rewrites from whom; what it draws by itself is tested in the other file.
"""

from evoweights_differential_evolution import DifferentialEvolution, OneToOne

from evoweights.testing import parametrize_operators, parametrize_selections


@parametrize_operators([DifferentialEvolution()])
def test_contract(check):
    check()


@parametrize_selections([OneToOne(), OneToOne(ties="parent")])
def test_contract_of_the_selection(check):
    check()
