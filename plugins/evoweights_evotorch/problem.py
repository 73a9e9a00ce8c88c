"""A problem of EvoTorch's whose solutions are answered by the run's own evaluation."""

from collections.abc import Callable

import torch
from evotorch import Problem, SolutionBatch
from torch import Tensor

from evoweights.seeds import Noise


class CallbackProblem(Problem):
    """Minimises ``losses``; ``first`` fills the population that a searcher begins with.

    All random numbers come from ``noise``. ``features``, two numbers for every solution, are for searchers that sort by them.
    """

    def __init__(
        self,
        losses: Callable[[Tensor], Tensor],
        first: Callable[[Tensor, torch.Generator], None],
        *,
        centre: Tensor,
        noise: Noise,
        features: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__(
            "min",
            solution_length=len(centre),
            dtype=centre.dtype,
            eval_dtype=torch.float64,  # losses that differ little are different
            device=centre.device,
            eval_data_length=0 if features is None else 2,
            seed=noise.torch_seed(),
            store_solution_stats=False,
        )
        self._losses, self._first, self._features = losses, first, features

    def _fill(self, values: Tensor) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] (never of objects here)
        generator = self.generator
        assert generator is not None  # there is a seed
        self._first(values, generator)

    def _evaluate_batch(self, batch: SolutionBatch) -> None:
        values = plain(batch.values)
        found = self._losses(values)
        if self._features is None:
            batch.set_evals(found)
        else:
            batch.set_evals(found, self._features(values).to(found.dtype))


def plain(values: object) -> Tensor:
    """A tensor of EvoTorch's without its protection against writing."""
    assert isinstance(values, Tensor)
    return values.as_subclass(Tensor)
