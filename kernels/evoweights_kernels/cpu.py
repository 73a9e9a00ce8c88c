"""The CPU target: Numba code without Python's lock, on as many threads as torch uses.

Threads are plain ones that sleep when idle. Numba's own pools either spin beside torch's OpenMP threads or end the
process when two Python threads launch at once; handing out ranges of tiles is all that is needed here.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor

from evoweights_kernels.availability import Availability
from evoweights_kernels.cache import load_module
from evoweights_kernels.constants import TILE
from evoweights_kernels.cpu_source import source
from evoweights_kernels.fuse import Fused
from evoweights_kernels.plan import Plan

INLINE_TILES = 32
"""Below this many tiles, handing work to another thread costs more than it saves."""
LONGEST_SHARE = 256


@cache
def availability() -> Availability:
    """Whether Numba is installed."""
    if find_spec("numba") is None:
        return Availability(False, "Numba is not installed; install it with `pip install numba`")
    return Availability(True, "")


def run(plan: Plan) -> None:
    """Apply the plan's program in place; the tensors lie on the CPU."""
    kernel = compiled(plan.fused)
    live = plan.live if plan.live is not None else torch.full((plan.tiles,), TILE, dtype=torch.int32)
    arguments = (
        *(_array(tensor) for tensor in plan.tensors),
        *(_array(table) for table in plan.tables),
        live.numpy(),
        np.array(plan.scalars, np.float32),
        np.array(plan.thresholds, np.int32),
        np.array(plan.streams, np.uint64),
        np.uint64(plan.seed),
        plan.first_tile,
    )
    threads = torch.get_num_threads()
    if threads == 1 or plan.tiles <= INLINE_TILES:
        kernel(*arguments, 0, plan.tiles)
        return
    share = max(INLINE_TILES // 2, min(LONGEST_SHARE, -(-plan.tiles // (4 * threads))))
    starts = iter(range(0, plan.tiles, share))

    def work() -> None:
        _work(kernel, arguments, starts, share, plan.tiles)

    helpers = [_pool(os.getpid(), threads - 1).submit(work) for _ in range(threads - 1)]
    work()
    for helper in helpers:
        helper.result()


@cache
def compiled(fused: Fused) -> Callable[..., None]:
    """The machine code of a fused program: from the cache folder, or compiled now and kept there."""
    import llvmlite
    import numba

    versions = (numba.__version__, llvmlite.__version__, np.__version__)
    return load_module(source(fused), target="cpu", versions=versions).kernel


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Idle threads, one pool per process: those of a forked parent do not exist in the child."""
    del process
    return ThreadPoolExecutor(threads, thread_name_prefix="evoweights")


def _work(
    kernel: Callable[..., None], arguments: tuple[object, ...], starts: Iterator[int], share: int, tiles: int
) -> None:
    """Take shares of tiles until none is left; taking the next of a range is atomic."""
    for start in starts:
        kernel(*arguments, start, min(start + share, tiles))


def _array(tensor: Tensor) -> np.ndarray:
    plain = tensor.detach()
    if plain.dtype == torch.bfloat16:
        return plain.view(torch.uint16).numpy()
    return plain.numpy()
