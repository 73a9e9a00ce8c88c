"""Small individuals to perturb, and what an improver is given."""

import torch
from torch import nn

from evoweights.genome import layout_of
from evoweights.homes.part import mount_
from evoweights.improvers import Moment
from evoweights.mounted import Mounted
from evoweights.seeds import Noise, seeded
from evoweights_es.member import Place


def mounted_on(module, *, shared=(), dtype=torch.float32, slots=()):
    """A module whose parameters are genes; those named ``shared`` lie in the shared part."""
    module = module.to(dtype)
    names = [name for name, _ in module.named_parameters()]
    own = mount_(
        module, layout_of(module, [each for each in names if each not in shared]), device="cpu", gradient=False
    )
    other = layout_of(module, list(shared), dtype=dtype)
    found = Mounted(module, own, mount_(module, other, device="cpu", gradient=False))
    for part in found.parts:
        part.slots = {each.name: torch.zeros(part.layout.size, dtype=each.dtype_for(part.layout)) for each in slots}
    return found


def place(step=1, seed=5, backend="auto"):
    """Where the noise of a step comes from."""
    return Place(Noise(seed, f"step {step}"), Noise(seed, "fixed"), backend)


class Told:
    """A feed whose items are what ``losses(module)`` says: float64 ``[items]``."""

    def __init__(self, losses):
        self.losses, self.draws, self.asked = losses, 0, 0

    def draw(self, mounted):
        self.draws += 1
        self.mounted = mounted
        return self

    @torch.no_grad()
    def scores(self, copies=1):
        assert copies == 1
        self.asked += 1
        return self.losses(self.mounted.module).double().flatten()


def moment(step=1, *, seed=5, backend="auto", reports=None):
    """The moment of a step; what is reported is appended to ``reports``."""
    fixed = Noise(seed, "fixed")
    return Moment(
        step, 1000, Noise(seed, f"step {step}"), backend, fixed, reports.append if reports is not None else _ignore
    )


def _ignore(report):
    del report


def genes(mounted):
    """The bytes of all weights."""
    return b"".join(part.weights.view(torch.uint8).numpy().tobytes() for part in mounted.parts)


class Vector(nn.Module):
    """One matrix of parameters, read in its own forward."""

    def __init__(self, count, seed=1):
        super().__init__()
        with seeded(Noise(seed, "vector")):
            self.x = nn.Parameter(torch.randn(1, count))

    def forward(self):
        return self.x.flatten()


def linear(count, seed=2):
    """A loss that falls along a direction of length 1, and that direction."""
    slope = torch.randn(count, generator=torch.Generator().manual_seed(seed))
    slope /= slope.norm()
    return (lambda module: -(module().double() @ slope.double())[None]), slope


def quadratic(module):
    """Half the squared length: its gradient is the point itself."""
    return (module().double().square().sum() / 2)[None]


def cosine(a, b):
    """The cosine between two vectors."""
    return float((a.double() @ b.double()) / (a.double().norm() * b.double().norm()))
