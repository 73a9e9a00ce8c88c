"""How much of a model a step computes with."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Shares:
    """Shares of heads, neurons and layers that a step computes with."""

    heads: float
    neurons: float
    layers: float
