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


@dataclass(frozen=True)
class Leader:
    """Always the same individual; the others change by operators alone, as a running average of its weights does."""

    name: ClassVar[str] = "leader"
    source: ClassVar[str] = (
        "evoweights; averages of one run: Polyak and Juditsky 1992; Izmailov et al. 2018, arXiv 1803.05407"
    )

    row: int = setting(0, "whose turn it is, from 0; the last one if there are fewer", minimum=0)

    def choose(self, generation: int, size: int, noise: Noise) -> Turn:
        """``row``."""
        del generation, noise  # unused: it is always the same one's turn
        return Turn((min(self.row, size - 1),))
