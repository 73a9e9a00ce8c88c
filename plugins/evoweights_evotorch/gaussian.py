"""What the searchers have in common that adapt a Gaussian."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from evoweights.catalog import setting
from evoweights.improvers import Moment
from evoweights_evotorch.searcher import LARGEST, Generation, Searcher, refuse_crossed_bounds

if TYPE_CHECKING:
    from torch import Tensor


RANKINGS = ("nes", "centered", "linear", "normalized", "raw")
"""EvoTorch's fitness shapings; the first three use nothing but the order of members."""
OPTIMIZERS = {
    "none": {},
    "clipup": {"momentum": (0.0, 1.0), "max_speed": (0.0, LARGEST)},
    "adam": {"beta1": (0.0, 0.999999), "beta2": (0.0, 0.999999), "epsilon": (0.0, 1.0)},
    "sgd": {"momentum": (0.0, 1.0), "dampening": (0.0, 1.0)},
}
"""Optimizers of the centre, and what their ``optimizer_config`` may say, from the least to the most."""


@dataclass(frozen=True)
class GaussianSearcher(Searcher, ABC):
    """Draws members from a Gaussian, and moves it by their losses; the individual becomes its centre."""

    ranking: ClassVar[str] = "raw"
    optimizer: ClassVar[str] = "none"
    stdev_min: ClassVar[float | None] = None
    stdev_max: ClassVar[float | None] = None
    stdev_max_change: ClassVar[float | None] = None
    multiple: ClassVar[float]
    """Peak memory of a generation in populations, as measured."""

    stdev_init: float = setting(0.02, "standard deviation at the beginning", minimum=1e-12)
    radius_init: float | None = setting(
        None, "if given, the norm that a member's noise has at the beginning, instead of stdev_init", minimum=1e-12
    )

    def __post_init__(self) -> None:
        """Refuse bounds that exclude each other."""
        super().__post_init__()
        refuse_crossed_bounds(self.stdev_min, self.stdev_max)

    @abstractmethod
    def members(self, length: int) -> int:
        """Members of a generation."""

    @abstractmethod
    def learning_rates(self, length: int) -> tuple[float, float]:
        """Those of centre and standard deviation."""

    @property
    def distribution(self) -> str:
        """Name of the class in ``evotorch.distributions``."""
        raise NotImplementedError

    @property
    def parameters(self) -> Mapping[str, float | str]:
        """What the distribution takes besides centre and standard deviation."""
        return {}

    @property
    def config(self) -> Mapping[str, float]:
        """What the optimizer takes besides the learning rate."""
        return {}

    def generation(
        self, state: "Mapping[str, Tensor]", losses: "Callable[[Tensor], Tensor]", moment: Moment
    ) -> Generation:
        """Sample, score, and follow the estimated gradients."""
        from evoweights_evotorch.distributions import generation

        return generation(self, state, losses, moment)

    def needed_bytes(self, length: int) -> int:
        """A multiple of the population."""
        return math.ceil(4 * self.multiple * self.members(length) * length)


def check_config(optimizer: str, config: Mapping[str, float]) -> None:
    """See that an optimizer can do with all that its ``optimizer_config`` says.

    Raises:
        ValueError: it cannot.
    """
    known = OPTIMIZERS[optimizer]
    if unknown := set(config) - set(known):
        allowed = ", ".join(known) or "nothing"
        raise ValueError(
            f"optimizer_config: {', '.join(sorted(unknown))} is no setting of {optimizer}, which takes {allowed}"
        )
    for name, value in config.items():
        least, most = known[name]
        if not least <= value <= most:
            raise ValueError(f"optimizer_config: {name} of {optimizer} is {value}; allowed are {least:g} to {most:g}")
    if len({"beta1", "beta2"} & set(config)) == 1:
        raise ValueError("optimizer_config: adam takes beta1 and beta2 together; give both or none")
