"""What the operator benchmark compares: our calls, and the same arithmetic as others offer it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import cycle, pairwise

import torch
from torch import Tensor

from evoweights_kernels import Call, adamw_scalars, apply_, bodies, stream_id

SEED = 42
SIGMA, RATE, TAKE, SOCIAL = 1e-3, 0.1, 0.6, 2.0
SWARM = {"inertia": 0.7, "cognitive": 1.4, "social": 1.4, "max_velocity": 1.0}
EMBEDDING = (50_257 * 768, 1_024 * 768)
BLOCK = (768, 768, 768 * 2304, 2304, 768 * 768, 768, 768, 768, 768 * 3072, 3072, 3072 * 768, 768)

Tensors = dict[str, Tensor]
Contestant = Callable[[], object]


@dataclass(frozen=True)
class Gate:
    """A ratio that is asked for: seconds of `rival` over seconds of `ours`, on devices of type `device`."""

    device: str
    rival: str
    at_least: float


@dataclass(frozen=True)
class Case:
    """One operator: our calls, its traffic, the rivals (made once the tensors exist) and what is asked for."""

    name: str
    calls: Callable[[Tensors], list[Call]]
    bytes_per_gene: float
    rivals: Callable[[Tensors], dict[str, Contestant]]
    gates: tuple[Gate, ...] = ()
    copy_share: float = 0.0
    dtype: torch.dtype = torch.float32


def tensors(genes: int, device: torch.device, dtype: torch.dtype) -> Tensors:
    """Individuals and states: weights in `dtype`, moments in float32."""
    make = partial(torch.randn, genes, device=device)
    made = {name: make().to(dtype) for name in ("x", "leader", "best", "velocity", "gradient")}
    made |= {"first_moment": make(), "second_moment": make().square_()}
    made["scale"] = torch.ones(-(-genes // 1024), device=device)
    return made


def segments(flat: Tensor) -> list[Tensor]:
    """Views of the sizes of GPT-2 124M's tensors, in its order, as many as the buffer holds."""
    cuts, shapes = [0], cycle(BLOCK)
    for size in EMBEDDING if flat.numel() > 2 * sum(EMBEDDING) else ():
        cuts.append(cuts[-1] + size)
    while cuts[-1] < flat.numel():
        cuts.append(min(cuts[-1] + next(shapes), flat.numel()))
    return [flat[first:last] for first, last in pairwise(cuts)]


def _streams(*names: str) -> dict[str, int]:
    return {name: stream_id(f"benchmark/{name}") for name in names}


def _rounding(t: Tensors) -> dict[str, int]:
    return _streams("rounding") if t["x"].dtype == torch.bfloat16 else {}


def crossover(bits: int, t: Tensors) -> list[Call]:
    """Uniform crossover with masks of `bits` bits."""
    kernel = {8: bodies.uniform_crossover_8, 16: bodies.uniform_crossover, 32: bodies.uniform_crossover_32}[bits]
    return [Call(kernel, {"x": t["x"], "other": t["leader"]}, {"take": TAKE}, _streams("take"))]


def towards(t: Tensors) -> list[Call]:
    """The velocity-free swarm step."""
    roles = {"x": t["x"], "leader": t["leader"]}
    return [Call(bodies.pso_towards, roles, {"social": SOCIAL}, _streams("z") | _rounding(t))]


def mutation(rate: float, t: Tensors, bits: int = 32) -> list[Call]:
    """Gaussian mutation of a share of the genes, with `bits` random bits per gene and draw."""
    streams, roles = {"z": stream_id("benchmark/noise")} | _rounding(t), {"x": t["x"], "scale": t["scale"]}
    if rate == 1.0:
        return [Call(bodies.gaussian_mutation_of_all, roles, {"sigma": SIGMA}, streams)]
    scalars = {"sigma": SIGMA, "touched": rate}
    kernel = {16: bodies.gaussian_mutation_16, 32: bodies.gaussian_mutation}[bits]
    return [Call(kernel, roles, scalars, streams | _streams("touched"))]


def event(t: Tensors) -> list[Call]:
    """Swarm step, crossover and mutation between one expert and the leader."""
    return [*towards(t), *crossover(16, t), *mutation(RATE, t)]


def swarm(t: Tensors) -> list[Call]:
    """The swarm step with velocity and personal best."""
    roles = {"x": t["x"], "personal_best": t["best"], "leader": t["leader"], "velocity": t["velocity"]}
    return [Call(bodies.pso, roles, SWARM, _streams("r1", "r2"))]


def adamw(t: Tensors) -> list[Call]:
    """One AdamW step."""
    roles = {name: t[name] for name in ("x", "gradient", "first_moment", "second_moment")}
    return [Call(bodies.adamw, roles, adamw_scalars(1e-3, 0.1, 0.9, 0.95, 1e-8, step=7), _rounding(t))]


def torch_crossover(x: Tensor, leader: Tensor) -> Tensor:
    """Uniform crossover as one writes it in torch."""
    return torch.where(torch.rand_like(x) < TAKE, leader, x)


def torch_towards(x: Tensor, leader: Tensor) -> Tensor:
    """The velocity-free swarm step as one writes it in torch."""
    share = ((torch.randn_like(x) + 3.0) / 6.0).clip(max=1.0)
    return torch.where(share > 0, x + SOCIAL * share * (leader - x), x)


def torch_mutation_of_all(x: Tensor) -> Tensor:
    """Gaussian noise on every gene."""
    return x + SIGMA * torch.randn_like(x)


def torch_mutation(x: Tensor) -> Tensor:
    """Gaussian noise on some genes."""
    return torch.where(torch.rand_like(x) < RATE, x + SIGMA * torch.randn_like(x), x)


def torch_event(x: Tensor, leader: Tensor) -> Tensor:
    """The three operators of an event, one after the other."""
    return torch_mutation(torch_crossover(torch_towards(x, leader), leader))


def torch_swarm(x: Tensor, best: Tensor, leader: Tensor, velocity: Tensor) -> tuple[Tensor, Tensor]:
    """The swarm step with velocity as one writes it in torch."""
    w, own, social, limit = SWARM.values()
    pull = own * torch.rand_like(x) * (best - x) + social * torch.rand_like(x) * (leader - x)
    velocity = (w * velocity + pull).clamp(-limit, limit)
    return x + velocity, velocity


def foreach_crossover(x: list[Tensor], leader: list[Tensor]) -> None:
    """Crossover over lists of tensors: a 0/1 mask times the difference (there is no where over lists)."""
    masks = [torch.bernoulli(torch.empty_like(each), TAKE) for each in x]
    difference = torch._foreach_sub(leader, x)
    torch._foreach_mul_(difference, masks)
    torch._foreach_add_(x, difference)


def foreach_mutation(x: list[Tensor]) -> None:
    """Gaussian noise on every gene over lists of tensors."""
    torch._foreach_add_(x, [torch.randn_like(each) for each in x], alpha=SIGMA)


def foreach_swarm(x: list[Tensor], best: list[Tensor], leader: list[Tensor], velocity: list[Tensor]) -> None:
    """The swarm step with velocity over lists of tensors."""
    w, own, social, limit = SWARM.values()
    torch._foreach_mul_(velocity, w)
    for share, goal in ((own, best), (social, leader)):
        pull = torch._foreach_sub(goal, x)
        torch._foreach_mul_(pull, [torch.rand_like(each) for each in x])
        torch._foreach_add_(velocity, pull, alpha=share)
    torch._foreach_clamp_max_(velocity, limit)
    torch._foreach_clamp_min_(velocity, -limit)
    torch._foreach_add_(x, velocity)


def optimizer(t: Tensors, **kind: bool) -> Contestant:
    """Torch's AdamW on the same tensors: weights and gradients are views of ours, in float32."""
    parameters = []
    for weight, gradient in zip(segments(t["x"]), segments(t["gradient"]), strict=True):
        parameters.append(torch.nn.Parameter(weight))
        parameters[-1].grad = gradient
    return torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.1, betas=(0.9, 0.95), **kind).step


def launch(calls: list[Call], backend: str, *, separate: bool = False) -> Contestant:
    """Our launch of the calls: fused into one, or one each."""
    if not separate:
        return lambda: apply_(calls, seed=SEED, backend=backend)

    def one_by_one() -> None:
        for call in calls:
            apply_([call], seed=SEED, backend=backend)

    return one_by_one
