"""One generation of a Gaussian of EvoTorch's: ask and tell, all state in tensors that come in and go out."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from evotorch import distributions
from evotorch.optimizers import ClipUp, get_optimizer_class
from evotorch.tools import modify_tensor, to_stdev_init
from torch import Tensor

from evoweights.improvers import Moment
from evoweights_evotorch.searcher import Generation

if TYPE_CHECKING:
    from evoweights_evotorch.gaussian import GaussianSearcher

OPTIMIZER = "optimizer."


def generation(
    searcher: "GaussianSearcher", state: Mapping[str, Tensor], losses: Callable[[Tensor], Tensor], moment: Moment
) -> Generation:
    """Sample, score, and move centre and standard deviation.

    The centre is what the generation's own losses make it: ``SearchAlgorithm.step`` would use them one generation later.
    """
    centre = state["centre"]
    length, before = len(centre), _distribution(searcher, state)
    generator = torch.Generator(device=centre.device).manual_seed(moment.noise.torch_seed())
    samples = before.sample(searcher.members(length), generator=generator)
    found = losses(samples)
    if bool((found == found[0]).all()):  # nothing is better than anything; ranks would make a direction of it
        return Generation(_parameters(before) | _of_optimizer(state), _facts(before, is_flat=True))
    gradients = before.compute_gradients(
        samples, _fitness(found, searcher), objective_sense="min", ranking_method=searcher.ranking
    )
    centre_rate, stdev_rate = searcher.learning_rates(length)
    optimizer = _optimizer(searcher, state, centre_rate)
    after = before.update_parameters(
        gradients,
        learning_rates={"sigma": stdev_rate} | ({} if optimizer else {"mu": centre_rate}),
        optimizers={"mu": optimizer} if optimizer else {},
    )
    bounds: dict[str, Any] = {
        "lb": searcher.stdev_min,
        "ub": searcher.stdev_max,
        "max_change": searcher.stdev_max_change,
    }
    if any(each is not None for each in bounds.values()):
        after = after.modified_copy(
            sigma=modify_tensor(before.parameters["sigma"], after.parameters["sigma"], **bounds)
        )
    kept = _optimizer_state(optimizer) if optimizer else {}
    return Generation(_parameters(after) | kept, _facts(after, is_flat=False))


def _distribution(searcher: "GaussianSearcher", state: Mapping[str, Tensor]) -> Any:
    """The distribution that a state describes; a fresh one around the centre if it is all there is."""
    centre = state["centre"]
    sigma = state.get("sigma")
    if sigma is None:
        given = (
            {"stdev_init": searcher.stdev_init}
            if searcher.radius_init is None
            else {"radius_init": searcher.radius_init}
        )
        stdev = torch.as_tensor(to_stdev_init(solution_length=len(centre), **given))
        sigma = torch.full_like(centre, float(stdev))
    inverse = {"sigma_inv": state["sigma_inv"]} if "sigma_inv" in state else {}
    made = getattr(distributions, searcher.distribution)
    return made({"mu": centre, "sigma": sigma, **inverse, **searcher.parameters})


def _parameters(distribution: Any) -> dict[str, Tensor]:
    """The tensors of a distribution."""
    tensors = {name: each for name, each in distribution.parameters.items() if isinstance(each, Tensor)}
    return {"centre": tensors.pop("mu")} | tensors


def _fitness(found: Tensor, searcher: "GaussianSearcher") -> Tensor:
    """Losses as a searcher may have them.

    Where the order is all that counts, ranks: single precision would make equals of losses that differ little. Else infinite
    losses become the worst finite one.
    """
    if searcher.ranking in ("nes", "centered", "linear") or "parenthood_ratio" in searcher.parameters:
        return found.argsort(stable=True).argsort(stable=True)
    finite = torch.isfinite(found)
    return torch.where(finite, found, found[finite].max())


def _optimizer(searcher: "GaussianSearcher", state: Mapping[str, Tensor], rate: float) -> Any:
    """The optimizer of the centre, as the state left it; None if there is none."""
    if searcher.optimizer == "none":
        return None
    centre = state["centre"]
    made = get_optimizer_class(searcher.optimizer, dict(searcher.config))(
        stepsize=rate, solution_length=len(centre), dtype=centre.dtype, device=centre.device
    )
    kept = _of_optimizer(state)
    if not kept:
        return made
    if isinstance(made, ClipUp):
        made._velocity = kept[f"{OPTIMIZER}velocity"]
        return made
    inner = made.contained_optimizer
    # torch wants the number of steps on the host.
    inner.state[inner.param_groups[0]["params"][0]] = {
        name.removeprefix(OPTIMIZER): each.clone().cpu() if each.ndim == 0 else each.clone()
        for name, each in kept.items()
    }
    return made


def _optimizer_state(optimizer: Any) -> dict[str, Tensor]:
    if isinstance(optimizer, ClipUp):
        velocity = optimizer._velocity
        assert velocity is not None  # it is set at once
        return {f"{OPTIMIZER}velocity": velocity}
    inner = optimizer.contained_optimizer
    state = inner.state[inner.param_groups[0]["params"][0]]
    return {f"{OPTIMIZER}{name}": each for name, each in state.items() if isinstance(each, Tensor)}


def _of_optimizer(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: each for name, each in state.items() if name.startswith(OPTIMIZER)}


def _facts(distribution: Any, *, is_flat: bool) -> dict[str, Any]:
    sigma = distribution.parameters["sigma"]
    stdev = sigma if sigma.ndim == 1 else (sigma @ sigma.T).diagonal().sqrt()
    return {"stdev": float(stdev.mean()), "all_equal": is_flat}
