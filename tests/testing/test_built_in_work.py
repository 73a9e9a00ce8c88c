"""The first-party improvers that can work on the kit's module, and the toy tasks, conform."""

from evoweights.testing import parametrize_improvers, parametrize_tasks
from evoweights_toy.settings import Digits, Function
from operators_under_test import registered

IMPROVERS = [each.component() for each in registered().entries("improve") if each.provider != "evoweights_evotorch"]
TASKS = [Function(), Function(gradient_noise=0.5), Digits(train_images=64)]


@parametrize_improvers(IMPROVERS, profile="quick")
def test_improver_contract(check):
    check()


@parametrize_tasks(TASKS, profile="quick")
def test_task_contract(check):
    check()
