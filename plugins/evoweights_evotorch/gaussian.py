"""What the searchers have in common that adapt a Gaussian."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from evoweights.catalog import setting
from evoweights.improvers import Moment
from evoweights_evotorch.searcher import Generation, Searcher

if TYPE_CHECKING:
    from torch import Tensor


RANKINGS = ("nes", "centered", "linear", "normalized", "raw")
"""EvoTorch's fitness shapings; the first three use nothing but the order of members."""
OPTIMIZERS = {
    "none": (),
    "clipup": ("momentum", "max_speed"),
    "adam": ("beta1", "beta2", "epsilon"),
    "sgd": ("momentum", "dampening"),
}
"""Optimizers of the centre and what their ``optimizer_config`` may say."""


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
    """See that an optimizer knows all that its ``optimizer_config`` says.

    Raises:
        ValueError: it does not.
    """
    if unknown := set(config) - set(OPTIMIZERS.get(optimizer, ())):
        allowed = ", ".join(OPTIMIZERS.get(optimizer, ())) or "nothing"
        raise ValueError(
            f"optimizer_config: {', '.join(sorted(unknown))} is no setting of {optimizer}, which takes {allowed}"
        )
