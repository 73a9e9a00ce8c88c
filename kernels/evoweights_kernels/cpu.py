"""The CPU target: Numba code on the caller's thread, or on as many threads as torch uses."""

from functools import cache
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import torch

from evoweights_kernels import cpu_module
from evoweights_kernels.availability import Availability
from evoweights_kernels.constants import TILE
from evoweights_kernels.cpu_source import source
from evoweights_kernels.fuse import Fused
from evoweights_kernels.plan import Plan


@cache
def availability() -> Availability:
    """Whether Numba is installed."""
    if find_spec("numba") is None:
        return Availability(False, "Numba is not installed; install it with `pip install numba`")
    return Availability(True, "")


def run(plan: Plan) -> None:
    """Apply the plan's program in place; the tensors lie on the CPU."""
    module = compiled(plan.fused)
    live = plan.live if plan.live is not None else torch.full((plan.tiles,), TILE, dtype=torch.int32)
    arguments = (
        *(cpu_module.array(tensor) for tensor in plan.tensors),
        *(cpu_module.array(table) for table in plan.tables),
        live.numpy(),
        np.array(plan.scalars, np.float32),
        np.array(plan.thresholds, np.int32),
        np.array(plan.streams, np.uint64),
        np.uint64(plan.seed),
        plan.first_tile,
    )
    cpu_module.launch(module, arguments, plan.tiles)


@cache
def compiled(fused: Fused) -> ModuleType:
    """The machine code of a fused program: from the cache folder, or compiled now and kept there."""
    return cpu_module.load(source(fused))
