"""EvoTorch's PGPE."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from evoweights.catalog import setting
from evoweights_evotorch.gaussian import OPTIMIZERS, RANKINGS, GaussianSearcher, check_config


@dataclass(frozen=True)
class PGPE(GaussianSearcher):
    """Policy gradients with parameter-based exploration, of pairs of members, with the ClipUp optimizer."""

    name: ClassVar[str] = "pgpe"
    source: ClassVar[str] = (
        "Sehnke et al. 2010, Parameter-exploring Policy Gradients; ClipUp: Toklu et al. 2020, arXiv 2008.02387; EvoTorch 0.6"
    )
    multiple: ClassVar[float] = 3.0

    popsize: int = setting(32, "members of a generation, an even number if symmetric", minimum=2)
    center_learning_rate: float = setting(0.01, "learning rate of the centre; with clipup a step's length", minimum=0.0)
    stdev_learning_rate: float = setting(0.1, "learning rate of the standard deviations", minimum=0.0)
    symmetric: bool = setting(True, "whether members come in pairs, one on either side of the centre")
    ranking: str = setting("centered", "how losses become weights", choices=RANKINGS)
    optimizer: str = setting("clipup", "what follows the gradient of the centre", choices=tuple(OPTIMIZERS))
    optimizer_config: dict[str, float] = setting({}, "settings of the optimizer, as EvoTorch names them")
    stdev_min: float | None = setting(None, "lowest standard deviation", minimum=0.0)
    stdev_max: float | None = setting(None, "highest standard deviation", minimum=0.0)
    stdev_max_change: float | None = setting(
        0.2, "largest change of a standard deviation in a generation, as a share of it", minimum=0.0
    )

    def __post_init__(self) -> None:
        """Refuse half a pair, and what the optimizer does not know."""
        super().__post_init__()
        if self.symmetric and self.popsize % 2:
            raise ValueError(f"popsize: found {self.popsize}; members come in pairs, so it must be even")
        check_config(self.optimizer, self.optimizer_config)

    @property
    def distribution(self) -> str:
        """Name of the class in ``evotorch.distributions``."""
        return "SymmetricSeparableGaussian" if self.symmetric else "SeparableGaussian"

    @property
    def parameters(self) -> Mapping[str, float | str]:
        """Gradients are means over directions."""
        by = "num_directions" if self.symmetric else "num_solutions"
        return {"divide_mu_grad_by": by, "divide_sigma_grad_by": by}

    @property
    def config(self) -> Mapping[str, float]:
        """Settings of the optimizer."""
        return self.optimizer_config

    def members(self, length: int) -> int:
        """Members of a generation."""
        del length  # unused: it has no default that depends on it
        return self.popsize

    def learning_rates(self, length: int) -> tuple[float, float]:
        """Those of centre and standard deviations."""
        del length  # unused
        return self.center_learning_rate, self.stdev_learning_rate
