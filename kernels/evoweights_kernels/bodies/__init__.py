"""The operators that ship: one gene kernel a file."""

from evoweights_kernels.bodies.adamw import adamw
from evoweights_kernels.bodies.arithmetic_crossover import arithmetic_crossover, mix
from evoweights_kernels.bodies.gaussian_mutation import (
    gaussian_mutation,
    gaussian_mutation_16,
    gaussian_mutation_of_all,
    gaussian_mutation_of_all_16,
)
from evoweights_kernels.bodies.pso import pso
from evoweights_kernels.bodies.pso_towards import pso_towards, pso_towards_16
from evoweights_kernels.bodies.uniform_crossover import (
    uniform_crossover,
    uniform_crossover_8,
    uniform_crossover_32,
)

__all__ = [
    "adamw",
    "arithmetic_crossover",
    "gaussian_mutation",
    "gaussian_mutation_16",
    "gaussian_mutation_of_all",
    "gaussian_mutation_of_all_16",
    "mix",
    "pso",
    "pso_towards",
    "pso_towards_16",
    "uniform_crossover",
    "uniform_crossover_8",
    "uniform_crossover_32",
]
