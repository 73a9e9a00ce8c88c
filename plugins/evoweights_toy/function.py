"""Test functions as a task: an individual is a point, its loss the value there."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from evoweights.task import Task, TaskPlace
from evoweights_toy.settings import Function


def sphere(x: Tensor) -> Tensor:
    """The sum of squares: ``sum_i x_i^2``. Source: De Jong 1975, F1."""
    return x.square().sum()


def rosenbrock(x: Tensor) -> Tensor:
    """A curved valley: ``sum_i 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2``. Source: Rosenbrock 1960, chained."""
    here, after = x[..., :-1], x[..., 1:]
    return (100 * (after - here.square()).square() + (1 - here).square()).sum()


def rastrigin(x: Tensor) -> Tensor:
    """A bowl full of local minima: ``sum_i 10 + x_i^2 - 10 cos(2 pi x_i)``. Source: Rastrigin 1974."""
    return (10 + x.square() - 10 * torch.cos(2 * math.pi * x)).sum()


FUNCTIONS = {"sphere": sphere, "rosenbrock": rosenbrock, "rastrigin": rastrigin}
BOUNDS = {"sphere": 5.12, "rosenbrock": 2.048, "rastrigin": 5.12}
"""First points are uniform between minus and plus this on every coordinate."""


class Point(nn.Module):
    """A point ``[1, dimension]``: a matrix, because operators change matrices unless told otherwise."""

    def __init__(self, dimension: int, bound: float) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.empty(1, dimension).uniform_(-bound, bound))


class FunctionTask(Task):
    """A test function. The loss of batch i is ``f(x) + gradient_noise * <x, e_i>`` with ``e_i ~ N(0, I)``."""

    tokens_per_batch = 1
    evaluation_batches = 1.0
    unit = "evaluations"

    def __init__(self, settings: Function, place: TaskPlace) -> None:
        self.settings, self.place = settings, place
        self.function = FUNCTIONS[settings.function]

    def build(self) -> Point:
        """A uniform point within the function's usual bounds."""
        return Point(self.settings.dimension, BOUNDS[self.settings.function])

    def batch(self, index: int) -> Tensor:
        """The slope that noise adds in this batch: ``[1, dimension]``."""
        shape = (1, self.settings.dimension)
        if self.settings.gradient_noise == 0:
            return torch.zeros(shape, device=self.place.device)
        generator = self.place.noise.at("batch", index).generator()
        slope = self.settings.gradient_noise * torch.randn(shape, generator=generator)
        return slope.to(self.place.device)

    def loss(self, module: nn.Module, batch: Tensor) -> Tensor:
        """The function with the batch's slope added."""
        x = _point(module).float()
        return self.function(x) + (x * batch).sum()

    @torch.no_grad()
    def evaluate(self, module: nn.Module) -> float:
        """The function itself, in float64."""
        return self.function(_point(module).double()).item()

    def references(self) -> Mapping[str, float]:
        """The lowest value."""
        return {"optimum": 0.0}


def _point(module: nn.Module) -> Tensor:
    return module.get_parameter("x")
