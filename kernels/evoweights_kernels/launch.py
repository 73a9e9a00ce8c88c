"""Applying calls: choosing a backend and launching the fused program."""

import logging
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from evoweights_kernels import _cuda, _triton, cpu, cpu_source, cuda_source, reference, triton_source
from evoweights_kernels.availability import Availability
from evoweights_kernels.body import GeneKernel
from evoweights_kernels.call import Call
from evoweights_kernels.constants import TILE
from evoweights_kernels.errors import KernelError
from evoweights_kernels.fuse import BFLOAT16, FLOAT32, Fused, fuse_kernels
from evoweights_kernels.plan import check_calls, plan

_LOG = logging.getLogger("evoweights.kernels")

_AVAILABILITY = {
    "reference": lambda: Availability(True, ""),
    "cpu": cpu.availability,
    "triton": _triton.availability,
    "cuda": _cuda.availability,
}
_RUN = {"cpu": cpu.run, "triton": _triton.run, "cuda": _cuda.run}
_SOURCE = {"cpu": cpu_source.source, "triton": triton_source.source, "cuda": cuda_source.source}
_PREFERRED = {"cpu": ("cpu",), "cuda": ("triton", "cuda")}
"""What `auto` tries, in order, for the tensors of a device type."""


def backends() -> dict[str, Availability]:
    """Every backend by name, whether it can run here, and if not why."""
    return {name: availability() for name, availability in _AVAILABILITY.items()}


def choose_backend(name: str, device: torch.device | str) -> str:
    """The backend that will run for tensors on `device`; `auto` takes the fastest usable one.

    Raises:
        KernelError: the name is unknown, or the backend named cannot run here; there is no fallback.
    """
    device = torch.device(device)
    if name == "auto":
        return _choose(device)
    if name not in _AVAILABILITY:
        raise KernelError(f"backend {name!r} does not exist; allowed are {', '.join(('auto', *_AVAILABILITY))}")
    refusal = _refusal(name, device)
    if refusal:
        raise KernelError(f"backend {name!r} cannot run: {refusal}")
    return name


def _choose(device: torch.device) -> str:
    for name in _PREFERRED.get(device.type, ()):
        refusal = _refusal(name, device)
        if not refusal:
            return name
        _log_refusal(name, device.type, refusal)
    return "reference"


def _refusal(name: str, device: torch.device) -> str:
    """Why the backend cannot run on the device; empty if it can."""
    availability = _AVAILABILITY[name]()
    if not availability.usable:
        return availability.reason
    if name == "cpu" and device.type != "cpu":
        return f"it runs on CPU tensors, these lie on {device}; move them or choose 'triton'"
    if name == "cuda" and device.type != "cuda":
        return f"it runs on CUDA tensors, these lie on {device}; move them or choose 'cpu'"
    if name == "triton" and device.type != "cuda" and not _triton.is_interpreted():
        return f"it runs on CUDA tensors, these lie on {device}; choose 'cpu', or set TRITON_INTERPRET=1 to test"
    return ""


@cache
def _log_refusal(name: str, device: str, reason: str) -> None:
    """Cached, so that each refusal is logged once."""
    _LOG.info("backend %s passed over for %s tensors: %s", name, device, reason)


def apply_(
    calls: Sequence[Call],
    *,
    seed: int,
    live: Tensor | None = None,
    first_tile: int = 0,
    backend: str = "auto",
) -> str:
    """Apply the calls in order, in place, as one fused launch; returns the name of the backend that ran.

    Tensors of several calls that are the same memory are read once and written once; the bits are those of one call
    after the other. `live` is int32 [tiles]: how many genes at the start of each tile take part (0 skips the tile);
    None means all. Genes that do not take part are not written. `first_tile` is the number of the tensors' first
    tile in the genome, so that a genome applied in chunks gets the numbers it gets as a whole.

    Raises:
        KernelError: the calls do not fit together, or the backend named cannot run.
    """
    check_calls(calls, live=live, first_tile=first_tile)
    target = calls[0].target
    name = choose_backend(backend, target.device)
    if target.numel() == 0:
        return name
    planned = plan(calls, seed=seed, live=live, first_tile=first_tile)
    if name == "reference":
        reference.run(calls, seed=seed, live=live, first_tile=first_tile)
        return name
    _RUN[name](planned)
    # Generated code writes behind autograd's back; this lets autograd notice if it still needs the old values.
    for slot, _ in planned.fused.stores:
        if not planned.tensors[slot].is_inference():
            torch.autograd.graph.increment_version(planned.tensors[slot])
    return name


def live_table(numel: int) -> Tensor:
    """The live table of `numel` genes that all take part: int32 [tiles], the last count possibly below 1,024."""
    tiles = -(-numel // TILE)
    table = torch.full((tiles,), TILE, dtype=torch.int32)
    if numel % TILE:
        table[-1] = numel % TILE
    return table


def generated_source(
    calls_or_kernels: "Sequence[Call | GeneKernel] | GeneKernel", target: str, *, storage: str = "float32"
) -> str:
    """What is generated for a target (`cpu`, `triton`, `cuda`); for `reference`, the functions as written.

    Calls are fused as `apply_` fuses them; of kernels alone, arguments of one name are taken for one tensor of the type
    `storage` (float32 or bfloat16).

    Raises:
        KernelError: an unknown target, or calls and kernels in one list.
    """
    given = [calls_or_kernels] if isinstance(calls_or_kernels, GeneKernel) else list(calls_or_kernels)
    calls = [item for item in given if isinstance(item, Call)]
    kernels = [item.kernel if isinstance(item, Call) else item for item in given]
    if target == "reference":
        return reference.source(kernels)
    if target not in _SOURCE:
        raise KernelError(f"target {target!r} does not exist; allowed are {', '.join(('reference', *_SOURCE))}")
    if not kernels or (calls and len(calls) < len(given)):
        raise KernelError("generated_source takes calls or kernels, at least one, not a mixture")
    if storage not in (FLOAT32, BFLOAT16):
        raise KernelError(f"storage {storage!r} does not exist; allowed are {FLOAT32}, {BFLOAT16}")
    fused: Fused = (
        plan(calls, seed=0, live=None, first_tile=0).fused if calls else fuse_kernels(kernels, storage=storage)
    )
    return _SOURCE[target](fused)
