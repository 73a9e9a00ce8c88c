"""EvoTorch's operators of the same kinds, by its functional interface where it has one."""

from collections.abc import Callable

import torch
from cases import RATE, SIGMA
from torch import Tensor


def crossovers(x: Tensor, leader: Tensor) -> dict[str, Callable[[], object]]:
    """One-point, two-point and simulated binary crossover of the two parents; each makes two children."""
    from evotorch.operators import functional

    parents = torch.stack((x, leader))
    return {
        "evotorch OnePointCrossOver": lambda: functional.one_point_cross_over(parents),
        "evotorch TwoPointCrossOver": lambda: functional.two_point_cross_over(parents),
        "evotorch SimulatedBinaryCrossOver": lambda: functional.simulated_binary_cross_over(parents, eta=10.0),
    }


def mutations(x: Tensor, *, some: bool) -> dict[str, Callable[[], object]]:
    """GaussianMutation of a population of one, of every gene or of a share `RATE`."""
    from evotorch import Problem
    from evotorch.operators import GaussianMutation

    problem = Problem(
        "min", _no_fitness, solution_length=x.numel(), initial_bounds=(-1, 1), device=x.device, dtype=x.dtype
    )
    batch = problem.generate_batch(1)
    batch.set_values(x[None])
    mutate = GaussianMutation(problem, stdev=SIGMA, mutation_probability=RATE if some else None)
    return {"evotorch GaussianMutation": lambda: mutate(batch)}


def _no_fitness(values: Tensor) -> Tensor:
    return values.sum(-1)
