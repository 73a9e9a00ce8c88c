"""Members of a generation, and where their noise comes from."""

from dataclasses import dataclass

from evoweights.seeds import Noise


@dataclass(frozen=True)
class Member:
    """One perturbed copy of the centre: ``centre + sigma * sign * direction``, directions numbered from 0."""

    direction: int
    sign: float


@dataclass(frozen=True)
class Place:
    """Where noise comes from, and the backend it is made by.

    ``noise`` is that of one step; ``fixed`` is the same for an individual in all steps of a run, for what is drawn once: a
    subspace, a mask.
    """

    noise: Noise
    fixed: Noise
    backend: str
