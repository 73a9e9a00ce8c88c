"""Every searcher in every space, small individuals, and losses that tests know."""

import dataclasses
import itertools

import torch
from torch import nn

from evoweights.catalog import Catalog
from evoweights.genome import layout_of
from evoweights.homes.part import mount_
from evoweights.improvers import Moment
from evoweights.mounted import Mounted
from evoweights.seeds import Noise, seeded
from evoweights_evotorch import register
from evoweights_evotorch.lora import LoRA
from evoweights_evotorch.spaces import Genome, Subspace

SPACES = (Genome(), Subspace(size=6, scale=0.3), LoRA(rank=2))
SMALL = {"popsize": 8}
OTHER_SETTINGS = {
    "cmaes": [{"separable": True, "stdev_min": 0.01, "stdev_max": 0.5}, {"active": False, "csa_squared": True}],
    "cosyne": [
        {"num_elites": 1, "eta": 10.0, "permute_all": True},
        {"elitism_ratio": 0.25, "mutation_probability": 0.5},
    ],
    "genetic_algorithm": [
        {"crossover": "sbx", "re_evaluate": False},
        {"crossover": "none", "elitist": False},
        {"crossover": "one_point", "mutation_probability": 0.5},
    ],
    "map_elites": [{"re_evaluate": False, "bins": 3, "extent": 0.3}],
    "pgpe": [
        {"symmetric": False, "optimizer": "adam", "optimizer_config": {"beta1": 0.8, "beta2": 0.99}},
        {"optimizer": "sgd", "optimizer_config": {"momentum": 0.9}, "ranking": "normalized"},
    ],
    "snes": [
        {"ranking": "raw", "radius_init": 0.5},
        {"optimizer": "adam", "center_learning_rate": 0.05, "stdev_max": 0.2},
    ],
    "xnes": [{"ranking": "linear", "stdev_learning_rate": 0.5}],
}
"""Settings that take other branches than the defaults."""


def catalog():
    """The catalog of the plugin alone."""
    found = Catalog()
    register(found.registrar("evoweights_evotorch"))
    return found


def searchers(spaces=SPACES):
    """Every searcher, small, in every space; the other settings in the first."""
    for entry in catalog().entries("improve"):
        known = {each.name for each in dataclasses.fields(entry.component)}
        base = {"steps": 3, "stdev_init": 0.1, **{key: value for key, value in SMALL.items() if key in known}}
        base |= {"bins": 3} if "bins" in known else {}
        for space in spaces:
            yield entry.component(space=space, **base)
        for settings in OTHER_SETTINGS.get(entry.name, []):
            yield entry.component(space=spaces[0], **(base | settings))


def label(searcher):
    """For the names of tests."""
    default = type(searcher)()
    told = [
        f"{each.name}={getattr(searcher, each.name)}"
        for each in dataclasses.fields(searcher)
        if each.name not in ("steps", "space", "stdev_init", "popsize")
        and getattr(searcher, each.name) != getattr(default, each.name)
    ]
    return "-".join([searcher.name, searcher.space.name, *told])


class Net(nn.Module):
    """Two matrices, one of them in the shared part, a vector, and a frozen one."""

    def __init__(self, seed=1):
        super().__init__()
        with seeded(Noise(seed, "net")):
            self.first = nn.Parameter(torch.randn(5, 4))
            self.common = nn.Parameter(torch.randn(4, 3))
            self.bias = nn.Parameter(torch.tensor([1.0, -0.0, 0.5]))
            self.still = nn.Parameter(torch.randn(2, 2), requires_grad=False)

    def squares(self):
        """The square of every weight that is searched, float64."""
        return torch.cat([each.double().flatten().square() for each in (self.first, self.common, self.bias)])


def mounted_(searcher, *, dtype=torch.float32, compute=None, seed=1):
    """A net, mounted for a searcher."""
    found = mount_net(Net(seed).to(dtype), searcher, shared=["common", "still"])
    if compute is not None:
        found.compute_in_(compute)
    return found


def mount_net(module, searcher, *, shared=()):
    """A module, mounted for a searcher; parameters named ``shared`` lie in the shared part."""
    names = [name for name, _ in module.named_parameters()]
    own = layout_of(module, [each for each in names if each not in shared])
    others = layout_of(module, list(shared), dtype=own.dtype)
    found = Mounted(
        module,
        mount_(module, own, device="cpu", gradient=False),
        mount_(module, others, device="cpu", gradient=False),
    )
    for part, slot in itertools.product(found.parts, searcher.slots):
        part.slots[slot.name] = torch.zeros(part.layout.size, dtype=slot.dtype_for(part.layout))
    return found


class Feed:
    """Gives the squares of the weights as items, or what ``change`` makes of the losses of one evaluation, by its number."""

    def __init__(self, change=None):
        self.change, self.asked, self.seen = change, 0, []

    def draw(self, mounted):
        """The same data each time."""
        self.mounted = mounted
        return self

    @torch.no_grad()
    def scores(self, copies=1):
        """Half the squared length, as items."""
        assert copies == 1
        found = self.mounted.module.squares() * len(self.mounted.module.squares()) / 2
        self.asked += 1
        self.seen.append(genes(self.mounted))
        return found if self.change is None else self.change(found, self.asked)


def moment(step, *, seed=5, backend="cpu", reports=None):
    """The moment of a step."""
    report = reports.append if reports is not None else (lambda report: None)
    return Moment(step, 1000, Noise(seed, f"step {step}"), backend, Noise(seed, "fixed"), report)


def stepped(searcher, mounted, feed, steps, **how):
    """The losses of steps of these numbers."""
    return [searcher.step(mounted, feed, moment(number, **how)) for number in steps]


def genes(mounted):
    """The bytes of all weights, as they are computed with too."""
    return b"".join(bits(each) for part in mounted.parts for each in (part.weights, part.compute))


def bits(tensor):
    """The bytes of a tensor."""
    return tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def state(mounted):
    """The bytes of everything that is saved of an individual."""
    slots = {
        f"{number}.{name}": bits(each) for number, part in enumerate(mounted.parts) for name, each in part.slots.items()
    }
    return (
        genes(mounted),
        slots,
        {name: (each.dtype, tuple(each.shape), bits(each)) for name, each in mounted.memory.items()},
    )


def squared(mounted):
    """Half the squared length of the weights."""
    with torch.no_grad():
        return float(mounted.module.squares().sum() / 2)
