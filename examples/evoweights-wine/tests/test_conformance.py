"""The task keeps every rule of tasks, with the synthetic table and, where scikit-learn is installed, with the real one."""

from importlib.util import find_spec

from evoweights_wine import Wine

from evoweights.testing import parametrize_tasks

TABLES = [Wine(), Wine(fitness_share=0.15, hidden=3), *([Wine(data="wine")] if find_spec("sklearn") else [])]


@parametrize_tasks(TABLES)
def test_contract(check):
    check()
