"""Whether a searcher fits in memory, before anything is allocated."""

from pathlib import Path
from typing import TYPE_CHECKING

from evoweights.errors import ResourceError

if TYPE_CHECKING:
    import torch

MEMINFO = Path("/proc/meminfo")


def available_bytes(device: "torch.device") -> int | None:
    """Memory that is free on a device; None if this machine does not say."""
    if device.type == "cuda":
        import torch

        return torch.cuda.mem_get_info(device)[0]
    if not MEMINFO.exists():
        return None
    lines = (line.split() for line in MEMINFO.read_text().splitlines())
    return next((1024 * int(line[1]) for line in lines if line[0] == "MemAvailable:"), None)


def refuse_what_does_not_fit(needed: int, device: "torch.device", *, what: str, advice: str) -> None:
    """See that there is memory for a generation.

    Raises:
        ResourceError: there is not.
    """
    free = available_bytes(device)
    if free is not None and needed > free:
        raise ResourceError(
            f"{what}: a generation takes about {_gib(needed)}, and {_gib(free)} are free on {device}. {advice}"
        )


def _gib(count: int) -> str:
    return f"{count / 2**30:,.2f} GiB"


LONGEST = 20_000
"""Numbers whose covariance is adapted at most: beyond, a generation takes minutes however much memory there is."""


def refuse_covariance(length: int, needed: int, *, searcher: str) -> None:
    """See that a covariance matrix is within reach.

    Raises:
        ResourceError: it is not, on any machine.
    """
    if length > LONGEST:
        raise ResourceError(
            f"improve {searcher}: a covariance of {length:,} numbers takes about {_gib(needed)} a generation; allowed are "
            f"{LONGEST:,} numbers. Search a subspace (`space: subspace`), narrow space.scope, or use snes, or cmaes with "
            "`separable: true`."
        )
