"""What a run runs on: versions, machine, devices and kernel backends, as JSON values for ``environment.json``."""

import os
import platform
from collections.abc import Iterable
from importlib import metadata
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
