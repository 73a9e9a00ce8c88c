"""AdamW and the toy tasks conform; tests/invariants holds all improvers to the rules, on every target."""

from evoweights.testing import parametrize_improvers, parametrize_tasks
from evoweights_classic import AdamW
from evoweights_toy.settings import Digits, Function

TASKS = [Function(), Function(gradient_noise=0.5), Digits(train_images=64)]


@parametrize_improvers([AdamW()], profile="quick")
def test_improver_contract(check):
    check()


@parametrize_tasks(TASKS, profile="quick")
def test_task_contract(check):
    check()
