"""Adding weighted noise: choosing a backend and launching."""

from collections.abc import Sequence

import torch
from torch import Tensor

from evoweights_kernels.launch import choose_backend
from evoweights_kernels.weighted_noise import cpu, cuda, reference, triton
from evoweights_kernels.weighted_noise.request import check_request

_RUN = {"reference": reference.run, "cpu": cpu.run, "triton": triton.run, "cuda": cuda.run}


@torch.no_grad()
def add_weighted_noise_(
    x: Tensor,
    *,
    streams: Sequence[int],
    weights: Sequence[float],
    seed: int,
    base: Tensor | None = None,
    bits: int = 32,
    scale: Tensor | None = None,
    mask: tuple[int, float] | None = None,
    live: Tensor | None = None,
    first_tile: int = 0,
    rounding: int | None = None,
    backend: str = "auto",
) -> str:
    """``x = base + scale * sum_j weights[j] * z_j``, in place, in one pass; returns the name of the backend that ran.

    ``x`` and ``base`` (None: x itself) are flat, float32 or bfloat16. ``z_j`` is the ``Normal`` of so many ``bits`` (32 or
    16) in the stream ``streams[j]``. The sum is float32, in the order of the members, from +0.0; members of weight 0 are
    left out. ``scale`` is float32, one value per tile. ``mask`` is a stream and a probability: a gene whose ``Chance[16]``
    does not hold has the sum 0. Where the sum is 0 base's value stays, zeros with their sign. A bfloat16 x is rounded to
    nearest, or stochastically with the stream ``rounding``. ``live`` and ``first_tile`` are those of ``apply_``.

    Source: Salimans et al. 2017, arXiv 1703.03864, section 2.1 (noise from shared seeds).

    Raises:
        KernelError: tensors, streams and weights do not fit together, or the backend named cannot run.
    """
    request = check_request(
        x,
        streams=streams,
        weights=weights,
        seed=seed,
        base=base,
        bits=bits,
        scale=scale,
        mask=mask,
        live=live,
        first_tile=first_tile,
        rounding=rounding,
    )
    name = choose_backend(backend, x.device)
    if x.numel() == 0 or (request.base is None and not request.weights):
        return name
    _RUN[name](request)
    if name != "reference" and not x.is_inference():
        # Generated code writes behind autograd's back.
        torch.autograd.graph.increment_version(x)
    return name
