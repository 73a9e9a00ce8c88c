"""EvoTorch's CMA-ES: adapts the whole covariance, or its diagonal."""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from evoweights.catalog import part, setting
from evoweights.improvers import Moment, NonFiniteStep
from evoweights_evotorch.room import refuse_covariance
from evoweights_evotorch.searcher import Generation, Searcher, refuse_crossed_bounds
from evoweights_evotorch.spaces import Space, Subspace

if TYPE_CHECKING:
    import torch
    from torch import Tensor


TENSORS = {"centre": "m", "sigma": "sigma", "covariance": "C", "root": "A", "path_sigma": "p_sigma", "path_c": "p_c"}
"""The state of a CMAES of EvoTorch's, by the names it has here; and the number of its generations."""


@dataclass(frozen=True)
class CMAES(Searcher):
    """Covariance matrix adaptation; the individual becomes the centre of the distribution."""

    name: ClassVar[str] = "cmaes"
    source: ClassVar[str] = "Hansen and Ostermeier 2001; Hansen 2016, arXiv 1604.00772; EvoTorch 0.6"

    space: Space = part("space", Subspace, "what the searcher's vector is")
    stdev_init: float = setting(1.0, "step size at the beginning", minimum=1e-12)
    popsize: int | None = setting(None, "members of a generation; null is 4 + floor(3 ln(length))", minimum=2)
    c_m: float = setting(1.0, "learning rate of the centre", minimum=0.0)
    c_sigma: float | None = setting(
        None, "learning rate of the step size; null is the usual one", minimum=0.0, maximum=1.0
    )
    c_sigma_ratio: float = setting(1.0, "factor of c_sigma", minimum=0.0)
    damp_sigma: float | None = setting(None, "damping of the step size; null is the usual one", minimum=1e-12)
    damp_sigma_ratio: float = setting(1.0, "factor of damp_sigma", minimum=1e-12)
    c_c: float | None = setting(
        None, "learning rate of the evolution path; null is the usual one", minimum=0.0, maximum=1.0
    )
    c_c_ratio: float = setting(1.0, "factor of c_c", minimum=0.0)
    c_1: float | None = setting(
        None, "learning rate of the rank-1 update; null is the usual one", minimum=0.0, maximum=1.0
    )
    c_1_ratio: float = setting(1.0, "factor of c_1", minimum=0.0)
    c_mu: float | None = setting(
        None, "learning rate of the rank-mu update; null is the usual one", minimum=1e-12, maximum=1.0
    )
    c_mu_ratio: float = setting(1.0, "factor of c_mu", minimum=1e-12)
    active: bool = setting(True, "whether bad members count, negatively")
    csa_squared: bool = setting(False, "whether the step size follows the squared length of its path")
    stdev_min: float | None = setting(None, "lowest standard deviation", minimum=0.0)
    stdev_max: float | None = setting(None, "highest standard deviation", minimum=0.0)
    separable: bool = setting(False, "whether only the diagonal is adapted, for long vectors")
    limit_C_decomposition: bool = setting(True, "whether the covariance is not decomposed in every generation")

    def __post_init__(self) -> None:
        """Refuse bounds that exclude each other, and rates that forget more of the covariance than there is."""
        super().__post_init__()
        refuse_crossed_bounds(self.stdev_min, self.stdev_max)
        if (total := (self.c_1 or 0.0) + (self.c_mu or 0.0)) > 1:
            raise ValueError(f"c_1, c_mu: found {total:g} together; a covariance is replaced by at most 1 of itself")

    def generation(
        self, state: "Mapping[str, Tensor]", losses: "Callable[[Tensor], Tensor]", moment: Moment
    ) -> Generation:
        """One step of EvoTorch's, in an object that is given the state and asked for it."""
        import torch
        from evotorch.algorithms import CMAES as Algorithm

        from evoweights_evotorch.problem import CallbackProblem

        found: list[Tensor] = []

        def noted(vectors: "Tensor") -> "Tensor":
            found.append(losses(vectors))
            return found[-1]

        problem = CallbackProblem(noted, _nothing, centre=state["centre"], noise=moment.noise)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about how its constructor uses torch and NumPy
            algorithm = Algorithm(problem, center_init=state["centre"], **self._settings())
        if "steps" in state:
            for name, attribute in TENSORS.items():
                setattr(algorithm, attribute, state[name])
            algorithm._steps_count = int(state["steps"])
        try:
            algorithm.step()
        except torch.linalg.LinAlgError as error:  # pyright: ignore[reportPrivateImportUsage]
            raise NonFiniteStep("cmaes has diverged: its covariance is no longer positive definite") from error
        losses_are_equal = bool((found[0] == found[0][0]).all())
        facts = {"stdev": float(torch.as_tensor(algorithm.sigma)), "all_equal": losses_are_equal}
        if losses_are_equal:  # nothing is better than anything; ranks would make a direction of it
            return Generation(state, facts)
        made = {name: torch.as_tensor(getattr(algorithm, attribute)) for name, attribute in TENSORS.items()}
        return Generation(made | {"steps": torch.tensor(algorithm.step_count)}, facts)

    def needed_bytes(self, length: int) -> int:
        """Products of every member with itself, two at a time, and 8 matrices; of the diagonal 7 populations."""
        members = 4 + math.floor(3 * math.log(length)) if self.popsize is None else self.popsize
        if self.separable:
            return 4 * 7 * members * length
        needed = 4 * (2 * members + 8) * length**2
        refuse_covariance(length, needed, searcher=self.name)
        return needed

    def _settings(self) -> dict[str, Any]:
        """The settings that have EvoTorch's names; it takes numbers for all but two of its learning rates."""
        import torch

        named = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in ("steps", "space")}
        rates = {name: torch.tensor(named[name]) for name in ("c_1", "c_mu") if named[name] is not None}
        return named | rates


def _nothing(values: "Tensor", generator: "torch.Generator") -> None:
    """The first population of CMA-ES is never looked at."""
    del generator  # unused
    values.zero_()
