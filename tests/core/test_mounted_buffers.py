"""Persistent buffers that share memory with themselves are mounted as buffers of their own."""

import torch
from torch import nn

from evoweights.founding import found
from evoweights.mounted import Blueprint
from evoweights.seeds import Noise


class Expanded(nn.Module):
    """A saved buffer whose rows are one row of memory, and another that is not saved."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.register_buffer("statistics", torch.arange(3.0).expand(4, 3))
        self.register_buffer("scratch", torch.zeros(1).expand(5), persistent=False)


def test_an_expanded_buffer_moves_with_its_individual(tmp_path):
    module = Expanded()
    statistics = module.statistics
    population, mounted = found(
        Blueprint(module, 2, initialise=lambda row: module.statistics.fill_(row), is_shared=lambda name: False),
        improvers=[],
        operators=[],
        noise=Noise(1),
        device=torch.device("cpu"),
        folder=tmp_path,
    )
    assert module.statistics is statistics
    assert set(population.buffers[0]) == {"statistics"}
    mounted.load(population, 0)
    module.statistics[1] = 7.0
    mounted.store(population)
    mounted.load(population, 1)
    assert module.statistics.tolist() == [[1.0] * 3] * 4
    mounted.load(population, 0)
    assert module.statistics.tolist() == [[0.0] * 3, [7.0] * 3, [0.0] * 3, [0.0] * 3]


def test_mounting_keeps_the_values_of_an_expanded_buffer(tmp_path):
    module = Expanded()
    found(
        Blueprint(module, 1, initialise=lambda row: None, is_shared=lambda name: False),
        improvers=[],
        operators=[],
        noise=Noise(1),
        device=torch.device("cpu"),
        folder=tmp_path,
    )
    assert module.statistics.tolist() == [[0.0, 1.0, 2.0]] * 4
    assert module.scratch.stride() == (0,)
