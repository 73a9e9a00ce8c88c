"""Small populations to vary by hand, and comparison by bytes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from evoweights.genome import Layout, Segment
from evoweights.operators import PairOperator, Scene
from evoweights.population import Population, Slot
from evoweights.records import VaryRecord
from evoweights.seeds import Noise
from evoweights.testing.comparing import Bits, bits
from evoweights.testing.strategies import genes_of, segments_of
from evoweights.variation import Named, vary

BACKENDS = ("reference", "cpu", "triton")
"""The backends that need no GPU; triton by its interpreter."""

CPU = torch.device("cpu")


def inside(layout: Layout, segments: Iterable[Segment]) -> Tensor:
    """Which elements of a genome's buffer are genes of these segments, bool ``[layout.size]``; padding is of none."""
    mask = torch.zeros(layout.size, dtype=torch.bool)
    for segment in segments:
        mask[segment.start : segment.start + segment.count] = True
    return mask


def flat_layout(count: int, dtype: torch.dtype = torch.float32, role: str = "matrix") -> Layout:
    """One segment of ``count`` genes."""
    return Layout(segments_of([(role, (count,))]), dtype)


def mixed_layout(dtype: torch.dtype = torch.float32) -> Layout:
    """A layout with every role, several tiles, an empty tensor, a 0-d one and padding in most tiles."""
    shapes = [
        ("matrix", (33, 40)), ("matrix", (0, 3)), ("matrix", (5, 1, 7)), ("vector", (63,)), ("vector", ()),
        ("embedding", (50, 41)), ("frozen", (5, 5)),
    ]  # fmt: skip
    return Layout(segments_of(shapes), dtype)


def population_of(
    layout: Layout,
    size: int,
    *,
    slots: Sequence[Slot] = (),
    home: str = "host",
    folder: Path | None = None,
    seed: int = 0,
    first: int = 0,
    extreme_share: float = 0.0,
) -> Population:
    """A population whose weights, slots (and padding!) hold arbitrary finite numbers; its rows are those from ``first``."""
    population = Population(layout, size, home=home, device=CPU, folder=folder or Path(), slots=slots)
    fill_(population, seed=seed, first=first, extreme_share=extreme_share)
    return population


def fill_(population: Population, *, seed: int, first: int = 0, extreme_share: float = 0.0) -> None:
    """Fill everything with numbers that depend on the seed, the row (counted from ``first``) and the name only."""
    for row in range(population.size):
        for index, name in enumerate(["weights", *(slot.name for slot in population.slots)]):
            tensor = population.row(row, name)
            share, place = extreme_share if name == "weights" else 0.0, first + row
            tensor.copy_(genes_of([seed, place, index], len(tensor), tensor.dtype, extreme_share=share))
        numbers = {"running_mean": torch.full((3,), float(first + row)), "count": torch.tensor(first + row)}
        population.buffers[row] = numbers
        population.individuals[row].counters = {"adamw.steps": 10 + first + row}


def scene_of(
    size: int,
    *,
    actors: Sequence[int] = (0,),
    failed: Sequence[int] = (),
    scores: tuple[float, ...] | None = None,
    train_losses: tuple[float, ...] | None = None,
) -> Scene:
    """A scene in which every row has a loss: its own number."""
    losses = tuple(float(row) for row in range(size))
    healthy = tuple(row for row in range(size) if row not in failed)
    return Scene(tuple(actors), healthy, scores or losses, train_losses or losses)


def vary_(
    population: Population,
    *operators: PairOperator,
    scene: Scene | None = None,
    seed: int = 1,
    backend: str = "reference",
    optimizer_state: str = "keep",
    generation: int = 3,
    first: int = 0,
) -> list[VaryRecord]:
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


def contents(population: Population) -> list[dict[str, Bits]]:
    """The bytes of everything every row holds."""
    return [{name: bits(each) for name, each in population.tensors(row).items()} for row in range(population.size)]


@dataclass(frozen=True)
class Moved:
    """What one operator made of one target: its genes, its slots by name, and the source afterwards."""

    genes: Tensor
    slots: dict[str, Tensor]
    source: Tensor


def move(
    operator: PairOperator,
    x: Tensor,
    source: Tensor,
    *,
    slots: Mapping[str, Tensor] | None = None,
    seed: int = 1,
    backend: str = "cpu",
    generation: int = 3,
) -> Moved:
    """Rewrite a genome of one matrix, ``x``, with ``source`` as the other parent; every tensor without padding."""
    layout, count = Layout(segments_of([("matrix", tuple(x.shape))]), x.dtype), x.numel()
    population = Population(layout, 2, home="host", device=CPU, folder=Path(), slots=operator.slots)
    for row, values in enumerate((source, x)):
        population.row(row)[:count] = values.flatten()
    for name, values in (slots or {}).items():
        population.row(1, name)[:count] = values.flatten()
    vary_(population, operator, seed=seed, backend=backend, generation=generation)
    made = {slot.name: population.row(1, slot.name)[:count].view(x.shape).clone() for slot in operator.slots}
    genes, other = (population.row(row)[:count].view(x.shape).clone() for row in (1, 0))
    return Moved(genes, made, other)


def share_z(hits: float, count: int, probability: float) -> float:
    """How many standard deviations ``hits`` of ``count`` trials lie from their expectation."""
    return (hits - count * probability) / (count * probability * (1 - probability)) ** 0.5


def mean_z(values: Tensor, mean: float) -> float:
    """How many standard errors the mean of ``values`` lies from ``mean``."""
    values = values.double()
    return float((values.mean() - mean) / (values.std() / len(values) ** 0.5))
