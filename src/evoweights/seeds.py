"""Random numbers are a function of (run seed, path): no generator state exists, so nothing of it can be lost.

A path names the purpose of a number, as in ``generation 12/vary/crossover/individual 3``. Kernels take a path's 64-bit
stream; code that draws through torch takes a generator seeded from it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evoweights_kernels import stream_id

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Noise:
    """A place in the tree of random streams: the run's seed (64 bits) and a path."""

    seed: int
    path: str = ""

    def at(self, *names: object) -> "Noise":
        """The place below this one, one level per name."""
        return Noise(self.seed, "/".join([*([self.path] if self.path else []), *map(str, names)]))

    def stream(self, name: str) -> int:
        """64-bit stream of the noise called ``name`` here, for a gene kernel."""
        return stream_id(self.at(name).path)

    def torch_seed(self) -> int:
        """63-bit seed of this place that depends on the run's seed as well."""
        return stream_id(f"{self.seed}/{self.path}") & 0x7FFF_FFFF_FFFF_FFFF

    def generator(self) -> "torch.Generator":
        """A fresh torch generator on the CPU, seeded from this place."""
        import torch

        return torch.Generator().manual_seed(self.torch_seed())


@contextmanager
def seeded(noise: Noise) -> Iterator[None]:
    """Run code that draws from torch's global generators (module initialisation) as a function of ``noise``.

    The generators' states are put back afterwards.
    """
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(noise.torch_seed())
        yield
