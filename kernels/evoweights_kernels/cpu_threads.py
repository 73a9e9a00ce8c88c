"""Sharing the tiles of a launch among threads, without quarrelling with torch's.

OpenMP is the best layer: torch's and Numba's are one library in a process, hence one team of threads that takes turns.
Any other team finds torch's idle threads spinning on the cores it needs. Numba's `workqueue` ends the process when two
Python threads launch at once and is never used; plain threads, which sleep when idle, stand in for it.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

SHARE = 16
"""Tiles a thread takes at a time."""


def choose_layer() -> None:
    """Make OpenMP Numba's layer, unless the user chose one or OpenMP is missing; before Numba starts any threads."""
    if _is_layer_open() and _has_openmp():
        _numba_config().THREADING_LAYER = "omp"


def run(module: ModuleType, arguments: tuple[object, ...], tiles: int, threads: int) -> None:
    """Apply a generated module to all tiles on `threads` threads."""
    if not _is_thread_safe():
        _run_on_plain_threads(module, arguments, tiles, threads)
        return
    from numba import get_num_threads, set_num_threads

    before = get_num_threads()
    set_num_threads(min(threads, _numba_config().NUMBA_NUM_THREADS))
    try:
        module.parallel(*arguments, 0, tiles, SHARE)
    finally:
        set_num_threads(before)


def _numba_config() -> Any:
    """Numba's settings, which are attributes made at run time."""
    from numba.core import config

    return config


def _is_layer_open() -> bool:
    return _numba_config().THREADING_LAYER == "default"


@cache
def _has_openmp() -> bool:
    try:
        import_module("numba.np.ufunc.omppool")
    except ImportError:  # this is how Numba itself finds out which layers there are
        return False
    return True


@cache
def _is_thread_safe() -> bool:
    """Whether Numba's layer bears launches from several Python threads; starts Numba's threads to find out."""
    from numba.np.ufunc.parallel import _launch_threads, threading_layer

    if _is_layer_open():
        return False
    _launch_threads()
    return threading_layer() != "workqueue"


def _run_on_plain_threads(module: ModuleType, arguments: tuple[object, ...], tiles: int, threads: int) -> None:
    starts = iter(range(0, tiles, SHARE))
    pool = _pool(os.getpid(), threads - 1)
    helpers = [pool.submit(_work, module, arguments, starts, tiles) for _ in range(threads - 1)]
    _work(module, arguments, starts, tiles)
    for helper in helpers:
        helper.result()


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Idle threads, one pool per process: those of a forked parent do not exist in the child."""
    del process
    return ThreadPoolExecutor(threads, thread_name_prefix="evoweights")


def _work(module: ModuleType, arguments: tuple[object, ...], starts: Iterator[int], tiles: int) -> None:
    """Take shares until none is left; taking the next number of a range is atomic."""
    for start in starts:
        module.kernel(*arguments, start, min(start + SHARE, tiles))
