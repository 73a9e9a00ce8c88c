"""Whose turn it is."""

from dataclasses import dataclass
from typing import ClassVar

from evoweights.catalog import setting
from evoweights.operators import Turn
from evoweights.seeds import Noise


@dataclass(frozen=True)
class RoundRobin:
    """One individual after the other, in the order of their rows."""

    name: ClassVar[str] = "round_robin"
    source: ClassVar[str] = "Chen 2025, arXiv 2509.24436"

    def choose(self, generation: int, size: int, noise: Noise) -> Turn:
        """Row ``generation mod size``."""
        del noise  # unused: the order is fixed
        return Turn((generation % size,))


@dataclass(frozen=True)
class RandomTurn:
    """Some individuals drawn anew each generation, each at most once."""

    name: ClassVar[str] = "random"
    source: ClassVar[str] = "evoweights"

    count: int = setting(1, "individuals in a turn; more than there are means all", unit="individuals", minimum=1)

    def choose(self, generation: int, size: int, noise: Noise) -> Turn:
        """``count`` rows, uniformly and without replacement."""
        del generation  # unused: it is part of the noise's path
        import torch

        drawn = torch.randperm(size, generator=noise.generator())[: self.count]
        return Turn(tuple(drawn.tolist()))


@dataclass(frozen=True)
class All:
    """Every individual, every generation."""

    name: ClassVar[str] = "all"
    source: ClassVar[str] = "evoweights"

    def choose(self, generation: int, size: int, noise: Noise) -> Turn:
        """All rows in order."""
        del generation, noise  # unused: it is always everyone's turn
        return Turn(tuple(range(size)))
