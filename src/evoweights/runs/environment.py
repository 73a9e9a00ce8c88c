"""What a run runs on: versions, machine, devices and kernel backends, as JSON values for ``environment.json``."""

import os
import platform
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "evoweights",
    "torch",
    "numpy",
    "numba",
    "triton",
    "transformers",
    "tokenizers",
    "omegaconf",
    "pluggy",
    "safetensors",
)


def versions(names: Iterable[str] = PACKAGES) -> dict[str, str | None]:
    """The installed version of each distribution, None where it is not installed; nothing is imported."""
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def environment(device: str) -> dict[str, Any]:
    """The facts on which bit-equal continuation rests, and which kernel backends are usable here and why the others are not."""
    import torch

    from evoweights_kernels import backends

    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu",
        "cuda": torch.version.cuda,
        "versions": versions(),
        "working_directory": working_directory(),
        "backends": {name: each.reason or "usable" for name, each in backends().items()},
    }


def working_directory() -> str | None:
    """The folder that relative paths are taken from; None if it has been deleted."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None


def peak_memory_bytes(device: str) -> int:
    """Most memory used so far: allocated on the accelerator, or resident in this process where there is none."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    # Not getrusage: its maximum includes the process that started this one, up to the moment it did.
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
