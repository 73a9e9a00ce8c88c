"""Timing on CPU and GPU, the bandwidth of a plain copy, and the memory an operation takes beside its tensors."""

import ctypes
import gc
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

INNER = {"cpu": 1, "cuda": 10}
"""Calls between two looks at the clock: on a GPU a queue of launches hides what it costs to launch one."""

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """How long one call takes, on the device's own clock."""
    repeats = INNER[device.type]
    if device.type == "cpu":
        start = time.perf_counter()
        run()
        return time.perf_counter() - start
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record()
    for _ in range(repeats):
        run()
    last.record()
    torch.cuda.synchronize(device)
    return first.elapsed_time(last) / 1e3 / repeats


def extra_bytes(run: Callable[[], object], device: torch.device) -> int | None:
    """The most memory a call takes beside what was there before; None where the system does not tell."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    if not _CLEAR.exists():
        return None
    before = process_bytes("VmRSS")
    forget_peak()
    run()
    return max(process_bytes("VmHWM") - before, 0)


def process_bytes(name: str) -> int:
    """A figure of this process: ``VmRSS``, what it has, or ``VmHWM``, the most it had. Linux only."""
    return 1024 * next(int(line.split()[1]) for line in _STATUS.read_text().splitlines() if line.startswith(name))


def forget_peak() -> None:
    """Let ``VmHWM`` start anew."""
    _CLEAR.write_text("5")


def settle() -> None:
    """Give back to the system what was freed."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


def copy_bandwidth(genes: int, device: torch.device, rounds: int) -> float:
    """Bytes per second, read and written, of `torch.Tensor.copy_` on float32: the best of `rounds`."""
    source, target = torch.randn(genes, device=device), torch.empty(genes, device=device)
    seconds(lambda: target.copy_(source), device)
    return 8 * genes / min(seconds(lambda: target.copy_(source), device) for _ in range(rounds))


def machine(device: torch.device) -> dict[str, object]:
    """What the figures depend on."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "cuda": torch.version.cuda,
        **{name: _version(name) for name in ("torch", "triton", "numba", "evotorch")},
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
