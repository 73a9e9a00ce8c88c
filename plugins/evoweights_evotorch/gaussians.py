"""EvoTorch's searchers that adapt a Gaussian: SNES, XNES and CEM."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from evoweights.catalog import part, setting
from evoweights_evotorch.gaussian import OPTIMIZERS, RANKINGS, GaussianSearcher, check_config
from evoweights_evotorch.spaces import Space, Subspace


def _members(popsize: int | None, length: int) -> int:
    return 4 + math.floor(3 * math.log(length)) if popsize is None else popsize


@dataclass(frozen=True)
class SNES(GaussianSearcher):
    """Separable natural evolution strategy: a standard deviation of its own for every number."""

    name: ClassVar[str] = "snes"
    source: ClassVar[str] = (
        "Schaul, Glasmachers and Schmidhuber 2011, High Dimensions and Heavy Tails for Natural Evolution Strategies; EvoTorch 0.6"
    )
    multiple: ClassVar[float] = 5.4
    distribution: ClassVar[str] = "ExpSeparableGaussian"

    popsize: int | None = setting(None, "members of a generation; null is 4 + floor(3 ln(length))", minimum=2)
    center_learning_rate: float = setting(1.0, "learning rate of the centre", minimum=0.0)
    stdev_learning_rate: float | None = setting(
        None, "learning rate of the standard deviations; null is 0.2 (3 + ln(length)) / sqrt(length)", minimum=0.0
    )
    scale_learning_rate: bool = setting(True, "whether a stdev_learning_rate that is given is a factor of that default")
    ranking: str = setting("nes", "how losses become weights", choices=RANKINGS)
    optimizer: str = setting("none", "what follows the gradient of the centre", choices=tuple(OPTIMIZERS))
    optimizer_config: dict[str, float] = setting({}, "settings of the optimizer, as EvoTorch names them")
    stdev_min: float | None = setting(None, "lowest standard deviation", minimum=0.0)
    stdev_max: float | None = setting(None, "highest standard deviation", minimum=0.0)
    stdev_max_change: float | None = setting(
        None, "largest change of a standard deviation in a generation, as a share of it", minimum=0.0
    )

    def __post_init__(self) -> None:
        """Refuse what the optimizer does not know."""
        super().__post_init__()
        check_config(self.optimizer, self.optimizer_config)

    @property
    def config(self) -> Mapping[str, float]:
        """Settings of the optimizer."""
        return self.optimizer_config

    def members(self, length: int) -> int:
        """Members of a generation."""
        return _members(self.popsize, length)

    def learning_rates(self, length: int) -> tuple[float, float]:
        """Those of centre and standard deviations."""
        usual = 0.2 * (3 + math.log(length)) / math.sqrt(length)
        return self.center_learning_rate, _scaled(self.stdev_learning_rate, usual, self.scale_learning_rate)


@dataclass(frozen=True)
class XNES(GaussianSearcher):
    """Exponential natural evolution strategy: adapts the whole covariance, for short vectors."""

    name: ClassVar[str] = "xnes"
    source: ClassVar[str] = "Glasmachers et al. 2010, Exponential Natural Evolution Strategies; EvoTorch 0.6"
    multiple: ClassVar[float] = 0.0
    distribution: ClassVar[str] = "ExpGaussian"

    space: Space = part("space", Subspace, "what the searcher's vector is")
    stdev_init: float = setting(1.0, "standard deviation at the beginning", minimum=1e-12)
    popsize: int | None = setting(None, "members of a generation; null is 4 + floor(3 ln(length))", minimum=2)
    center_learning_rate: float = setting(1.0, "learning rate of the centre", minimum=0.0)
    stdev_learning_rate: float | None = setting(
        None, "learning rate of the covariance; null is 0.6 (3 + ln(length)) / (length sqrt(length))", minimum=0.0
    )
    scale_learning_rate: bool = setting(True, "whether a stdev_learning_rate that is given is a factor of that default")
    ranking: str = setting("nes", "how losses become weights", choices=RANKINGS)

    def members(self, length: int) -> int:
        """Members of a generation."""
        return _members(self.popsize, length)

    def learning_rates(self, length: int) -> tuple[float, float]:
        """Those of centre and covariance."""
        usual = 0.6 * (3 + math.log(length)) / (length * math.sqrt(length))
        return self.center_learning_rate, _scaled(self.stdev_learning_rate, usual, self.scale_learning_rate)

    def needed_bytes(self, length: int) -> int:
        """Products of every member with itself, three at a time, and 16 matrices of the exponential."""
        from evoweights_evotorch.room import refuse_covariance

        needed = 4 * (3 * self.members(length) + 16) * length**2
        refuse_covariance(length, needed, searcher=self.name)
        return needed


@dataclass(frozen=True)
class CEM(GaussianSearcher):
    """Cross-entropy method: the Gaussian is that of the best members of the generation before."""

    name: ClassVar[str] = "cem"
    source: ClassVar[str] = (
        "Rubinstein 1999, The Cross-Entropy Method; Duan et al. 2016, arXiv 1604.06778; EvoTorch 0.6"
    )
    multiple: ClassVar[float] = 2.0
    distribution: ClassVar[str] = "SeparableGaussian"

    popsize: int = setting(32, "members of a generation", minimum=4)
    parenthood_ratio: float = setting(
        0.25, "share of the members that the next Gaussian is of", minimum=0.0, maximum=1.0
    )
    stdev_min: float | None = setting(None, "lowest standard deviation", minimum=0.0)
    stdev_max: float | None = setting(None, "highest standard deviation", minimum=0.0)
    stdev_max_change: float | None = setting(
        None, "largest change of a standard deviation in a generation, as a share of it", minimum=0.0
    )

    def __post_init__(self) -> None:
        """Refuse a share of fewer than two parents, which have no standard deviation."""
        super().__post_init__()
        if (parents := math.floor(self.popsize * self.parenthood_ratio)) < 2:
            raise ValueError(
                f"parenthood_ratio: {self.parenthood_ratio} of {self.popsize} members are {parents}, needed are 2; raise it, or "
                "popsize"
            )

    @property
    def parameters(self) -> Mapping[str, float | str]:
        """The share of parents."""
        return {"parenthood_ratio": self.parenthood_ratio}

    def members(self, length: int) -> int:
        """Members of a generation."""
        del length  # unused: it has no default that depends on it
        return self.popsize

    def learning_rates(self, length: int) -> tuple[float, float]:
        """All the way to the parents' Gaussian."""
        del length  # unused
        return 1.0, 1.0


def _scaled(rate: float | None, usual: float, is_factor: bool) -> float:
    if rate is None:
        return usual
    return rate * usual if is_factor else rate
