import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evoweights.errors import UsageError
from evoweights.genome import layout_of
from evoweights.seeds import Noise, seeded
from evoweights.task import TaskPlace
from evoweights_toy import Function
from evoweights_toy.function import BOUNDS, FUNCTIONS

OPTIMA = {"sphere": 0.0, "rosenbrock": 1.0, "rastrigin": 0.0}

each_function = pytest.mark.parametrize("function", sorted(FUNCTIONS))


def built(task, seed=0):
    with seeded(Noise(seed, "model")):
        return task.build()


def at(task, value):
    module = built(task)
    with torch.no_grad():
        module.x.fill_(value)
    return module


@each_function
def test_the_optimum_has_the_value_of_the_reference(function, place_at):
    task = Function(function=function).open(place_at(0))
    assert task.evaluate(at(task, OPTIMA[function])) == pytest.approx(task.references()["optimum"], abs=1e-12)


@pytest.mark.parametrize(
    ("function", "value", "expected"),
    # By hand for three coordinates: 3 v^2; 2 (100 (v - v^2)^2 + (1 - v)^2); 3 (10 + v^2 - 10 cos(2 pi v)).
    [("sphere", 2.0, 12.0), ("rosenbrock", 2.0, 802.0), ("rastrigin", 0.5, 60.75), ("rastrigin", 2.0, 12.0)],
)
def test_values_are_those_of_the_formula(function, value, expected, place_at):
    task = Function(function=function, dimension=3).open(place_at(0))
    module = at(task, value)
    assert task.evaluate(module) == pytest.approx(expected, rel=1e-9)
    assert task.loss(module, task.batch(0)).item() == pytest.approx(expected, rel=1e-5)


@each_function
@settings(derandomize=True, deadline=None, max_examples=50)
@given(values=st.lists(st.floats(-5, 5), min_size=4, max_size=4))
def test_no_point_is_below_the_optimum(function, values):
    assert FUNCTIONS[function](torch.tensor([values], dtype=torch.float64)).item() >= -1e-9


def test_a_batch_depends_on_the_seed_and_its_index_alone(place_at):
    task, same = (Function(gradient_noise=1.0).open(place_at(7)) for _ in range(2))
    forwards = [task.batch(index) for index in range(5)]
    torch.manual_seed(123)
    backwards = [same.batch(index) for index in reversed(range(5))][::-1]
    assert all(torch.equal(one, other) for one, other in zip(forwards, backwards, strict=True))
    assert not torch.equal(forwards[0], forwards[1])
    assert not torch.equal(forwards[0], Function(gradient_noise=1.0).open(place_at(8)).batch(0))


def test_gradient_noise_has_its_deviation_and_no_bias(place_at):
    task = Function(dimension=100, gradient_noise=0.5).open(place_at(0))
    module = at(task, 1.0)
    gradients = torch.cat([torch.autograd.grad(task.loss(module, task.batch(i)), module.x)[0] for i in range(200)])
    # 20,000 draws: the mean is within 5 standard errors, 5 * 0.5 / sqrt(20,000).
    assert gradients.mean().item() == pytest.approx(2.0, abs=5 * 0.5 / math.sqrt(20_000))
    assert gradients.std().item() == pytest.approx(0.5, rel=0.03)


def test_evaluation_is_exact_whatever_the_noise(place_at):
    task = Function(gradient_noise=100.0).open(place_at(0))
    module = at(task, 2.0)
    assert task.loss(module, task.batch(0)).item() != pytest.approx(64.0)
    assert task.evaluate(module) == task.evaluate(module) == 64.0


@each_function
def test_the_genome_is_one_matrix_within_the_bounds(function, place_at):
    task = Function(function=function, dimension=40).open(place_at(0))
    module = built(task)
    layout = layout_of(module, ["x"])
    assert [(segment.shape, segment.role) for segment in layout.segments] == [((1, 40), "matrix")]
    assert 0.5 * BOUNDS[function] < module.x.abs().max().item() <= BOUNDS[function]
    assert torch.equal(built(task).x, module.x)
    assert not torch.equal(built(task, seed=1).x, module.x)


@each_function
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_gradient_steps_lower_the_loss(function, noise, place_at):
    task = Function(function=function, gradient_noise=noise).open(place_at(3))
    module = built(task)
    before = task.evaluate(module)
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-4)
    for index in range(100):
        optimizer.zero_grad()
        task.loss(module, task.batch(index)).backward()
        assert torch.isfinite(module.x.grad).all()
        optimizer.step()
    assert task.evaluate(module) < 0.99 * before


def test_a_point_may_be_bfloat16(place_at):
    task = Function().open(place_at(0))
    module = at(task, 2.0).bfloat16()
    assert task.evaluate(module) == 64.0
    task.loss(module, task.batch(0)).backward()
    assert module.x.grad.dtype == torch.bfloat16


def test_individuals_that_a_task_cannot_score_together_are_refused_with_what_to_do(tmp_path):
    task = Function().open(TaskPlace(tmp_path, Noise(0), torch.device("cpu")))
    with pytest.raises(
        UsageError, match=r"FunctionTask cannot repeat a batch of type .*\. Use a perturbation that scores"
    ):
        task.repeated(task.batch(0), 2)
