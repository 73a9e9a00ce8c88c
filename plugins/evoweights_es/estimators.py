"""Estimators: which members there are, and how their weights become one coefficient for each direction of noise."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from evoweights_es.member import Member


@dataclass(frozen=True)
class Estimator(ABC):
    """A component of kind ``estimator``. The direction of ascent is ``g = sum_i c_i eps_i``."""

    name: ClassVar[str]
    source: ClassVar[str]

    @abstractmethod
    def members(self, count: int) -> list[Member]:
        """The members of a step, ``count`` of them.

        Raises:
            ValueError: there cannot be so many.
        """

    def coefficients(self, weights: Sequence[float], members: Sequence[Member]) -> list[float]:
        """``c_i = (1 / N) sum over the members of direction i of sign * weight``."""
        found = [0.0] * (1 + max(each.direction for each in members))
        for weight, member in zip(weights, members, strict=True):
            found[member.direction] += member.sign * weight
        return [each / len(members) for each in found]


@dataclass(frozen=True)
class OneSided(Estimator):
    """Every member has a direction of its own: as many directions as evaluations."""

    name: ClassVar[str] = "one_sided"
    source: ClassVar[str] = "EA4LLM, arXiv 2510.10603; Qiu et al. 2025, arXiv 2509.24372"

    def members(self, count: int) -> list[Member]:
        """Member j goes along direction j."""
        return [Member(number, 1.0) for number in range(count)]


@dataclass(frozen=True)
class Antithetic(Estimator):
    """Members come in pairs that go along one direction both ways: even parts of the loss cancel."""

    name: ClassVar[str] = "antithetic"
    source: ClassVar[str] = "Salimans et al. 2017, arXiv 1703.03864; Malladi et al. 2023, arXiv 2305.17333"

    def members(self, count: int) -> list[Member]:
        """Members 2 i and 2 i + 1 go along direction i, forwards and backwards."""
        if count % 2:
            raise ValueError(f"members: found {count}, but antithetic members come in pairs; give an even number.")
        return [Member(number // 2, -1.0 if number % 2 else 1.0) for number in range(count)]
