"""Small populations to vary by hand, and comparison by bytes."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from evoweights.genome import Layout
from evoweights.operators import Scene
from evoweights.population import Population
from evoweights.seeds import Noise
from evoweights.variation import Named, vary
from strategies import genes_of, segments_of

BACKENDS = ("reference", "cpu", "triton")
CPU = torch.device("cpu")


def bits(tensor):
    """The bytes of a tensor: NaN equals NaN, and -0 differs from 0."""
    return tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def flat_layout(count, dtype=torch.float32, role="matrix"):
    """One segment of ``count`` genes."""
    return Layout(segments_of([(role, (count,))]), dtype)


def mixed_layout(dtype=torch.float32):
    """A layout with every role, several tiles, an empty tensor, a 0-d one and padding in most tiles."""
    shapes = [
        ("matrix", (33, 40)), ("matrix", (0, 3)), ("matrix", (5, 1, 7)), ("vector", (63,)), ("vector", ()),
        ("embedding", (50, 41)), ("frozen", (5, 5)),
    ]  # fmt: skip
    return Layout(segments_of(shapes), dtype)


def population_of(layout, size, *, slots=(), home="host", folder=Path(), seed=0, extreme_share=0.0):
    """A population whose weights, slots (and padding!) hold arbitrary finite numbers."""
    population = Population(layout, size, home=home, device=CPU, folder=folder, slots=slots)
    fill_(population, seed=seed, extreme_share=extreme_share)
    return population


def fill_(population, *, seed, extreme_share=0.0):
    """Fill everything with numbers that depend on the seed, the row and the name only."""
    for row in range(population.size):
        for index, name in enumerate(["weights", *(slot.name for slot in population.slots)]):
            tensor = population.row(row, name)
            share = extreme_share if name == "weights" else 0.0
            tensor.copy_(genes_of([seed, row, index], len(tensor), tensor.dtype, extreme_share=share))
        population.buffers[row] = {"running_mean": torch.full((3,), float(row)), "count": torch.tensor(row)}
        population.individuals[row].counters = {"adamw.steps": 10 + row}


def scene_of(size, *, actors=(0,), failed=(), scores=None, train_losses=None):
    """A scene in which every row has a loss: its own number."""
    losses = tuple(float(row) for row in range(size))
    healthy = tuple(row for row in range(size) if row not in failed)
    return Scene(tuple(actors), healthy, scores or losses, train_losses or losses)


def vary_(
    population, *operators, scene=None, seed=1, backend="reference", optimizer_state="keep", generation=3, first=0
):
    """Vary with entries labelled ``0-name``, ``1-name``, ... (from ``first``), as a configuration labels them."""
    return vary(
        population,
        [Named(f"{first + i}-{each.name}", each) for i, each in enumerate(operators)],
        scene or scene_of(population.size),
        generation=generation,
        noise=Noise(seed, f"generation {generation}/vary"),
        backend=backend,
        optimizer_state=optimizer_state,
    )


def contents(population):
    """The bytes of everything every row holds."""
    return [{name: bits(each) for name, each in population.tensors(row).items()} for row in range(population.size)]


@dataclass(frozen=True)
class Moved:
    """What one operator made of one target: its genes, its slots by name, and the source afterwards."""

    genes: Tensor
    slots: dict[str, Tensor]
    source: Tensor


def move(operator, x, source, *, slots=None, seed=1, backend="cpu"):
    """Rewrite a genome of one matrix, ``x``, with ``source`` as the other parent; every tensor without padding."""
    layout = flat_layout(len(x), x.dtype)
    population = Population(layout, 2, home="host", device=CPU, folder=Path(), slots=operator.slots)
    for row, values in enumerate((source, x)):
        population.row(row)[: len(x)] = values
    for name, values in (slots or {}).items():
        population.row(1, name)[: len(x)] = values
    vary_(population, operator, seed=seed, backend=backend)
    made = {slot.name: population.row(1, slot.name)[: len(x)].clone() for slot in operator.slots}
    return Moved(population.row(1)[: len(x)].clone(), made, population.row(0)[: len(x)].clone())


def share_z(hits, count, probability):
    """How many standard deviations ``hits`` of ``count`` trials lie from their expectation."""
    return (hits - count * probability) / (count * probability * (1 - probability)) ** 0.5


def mean_z(values, mean):
    """How many standard errors the mean of ``values`` lies from ``mean``."""
    values = values.double()
    return float((values.mean() - mean) / (values.std() / len(values) ** 0.5))
