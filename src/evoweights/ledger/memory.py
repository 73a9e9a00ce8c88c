"""The most memory that a run has used."""

import sys
from pathlib import Path


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
