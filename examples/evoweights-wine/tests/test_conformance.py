"""The task keeps every rule of tasks."""

from evoweights_wine import Wine

from evoweights.testing import parametrize_tasks


@parametrize_tasks([Wine(), Wine(fitness_share=0.15, hidden=3)])
def test_contract(check):
    check()
