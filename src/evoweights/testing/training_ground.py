"""The ground that improvers are checked on: a module with a parameter for every awkward tensor, and a loss that is a plane."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from evoweights.errors import UsageError
from evoweights.founding import mount_blueprint
from evoweights.genome import Layout
from evoweights.improvers import Improver, Moment
from evoweights.mounted import Blueprint, Mounted
from evoweights.seeds import Noise
from evoweights.testing.comparing import bits, expect_same
from evoweights.testing.grounds import awkward_layout, genes
from evoweights.testing.populations import CPU
from evoweights.testing.strategies import genes_from_table


@dataclass
class Slopes:
    """A feed whose loss is a plane, another one for every batch, times ``factor``; ``taken`` batches are gone already."""

    taken: int = 0
    factor: float = 1.0

    def next_loss(self, mounted: Mounted) -> Tensor:
        """The differentiable loss of the next batch."""
        self.taken += 1
        return self._loss(self.taken, mounted)

    def add_gradient_(self, mounted: Mounted) -> Tensor:
        """Add the gradient of the next batch; its loss."""
        loss = self.next_loss(mounted)
        loss.backward()
        return loss.detach()

    def draw(self, mounted: Mounted) -> "Drawn":
        """The next batch, to be scored as often as wanted."""
        self.taken += 1
        number = self.taken
        return Drawn(lambda: self._loss(number, mounted))

    def _loss(self, batch: int, mounted: Mounted) -> Tensor:
        total = torch.zeros(())
        for number, each in enumerate(mounted.module.parameters()):
            if each.requires_grad:
                slope = genes_from_table([batch, number], each.numel(), torch.float32, extreme_share=0.0).view(
                    each.shape
                )
                total = total + (each.float() * slope).sum()
        return total * self.factor


@dataclass(frozen=True)
class Drawn:
    """One batch of one item."""

    loss: Callable[[], Tensor]

    @torch.no_grad()
    def scores(self, copies: int = 1) -> Tensor:
        """Its loss, float64.

        Raises:
            UsageError: several copies are to be scored.
        """
        if copies > 1:
            raise UsageError(
                f"The module of the kit holds one individual: it cannot score {copies} in one pass. Check the improver with "
                "settings by which it scores them one by one."
            )
        return self.loss().double()[None]


def mounted_on(improver: Improver, layout: Layout, *, seed: int = 1) -> Mounted:
    """A module with a parameter for every segment of the layout; embeddings are shared between individuals."""
    module = nn.ParameterDict()
    for number, each in enumerate(layout.segments):
        values = genes_from_table([seed, number], each.count, layout.dtype, extreme_share=0.0).view(each.shape)
        module[f"p{number}_{each.role}"] = nn.Parameter(values, requires_grad=each.role != "frozen")
    blueprint = Blueprint(module, 1, initialise=lambda row: None, is_shared=lambda name: name.endswith("embedding"))
    return mount_blueprint(blueprint, CPU, improvers=[improver])


@dataclass(frozen=True)
class Ground:
    """What is chosen for a check of an improver: the type of the weights and a seed, which also draws the weights."""

    dtype: torch.dtype = torch.float32
    seed: int = 7
    backend: str = "cpu"

    def mounted(self, improver: Improver, *, another: bool = False) -> Mounted:
        """A fresh individual; ``another`` has other weights."""
        return mounted_on(improver, awkward_layout(self.dtype), seed=self.seed % 2**32 + another)

    def on(self, backend: str) -> "Ground":
        """The same on another target."""
        return dataclasses.replace(self, backend=backend)


@dataclass
class Reports:
    """What an improver said of its steps."""

    said: list[Mapping[str, Any]] = field(default_factory=list)

    def take(self, report: Mapping[str, Any]) -> None:
        """Keep a report."""
        self.said.append(report)


def moment_of(ground: Ground, number: int, reports: Reports | None = None) -> Moment:
    """Step ``number`` of 100."""
    noise, fixed = Noise(ground.seed, f"step {number}"), Noise(ground.seed)
    return Moment(number, 100, noise, ground.backend, fixed, *([] if reports is None else [reports.take]))


def stepped(
    improver: Improver,
    mounted: Mounted,
    feed: Slopes,
    ground: Ground,
    *,
    first: int = 1,
    count: int = 3,
    reports: Reports | None = None,
) -> list[float]:
    """The losses of so many steps."""
    numbers = range(first, first + count)
    return [improver.step(mounted, feed, moment_of(ground, number, reports)) for number in numbers]


def state_of(mounted: Mounted) -> dict[str, Any]:
    """The bytes of weights and slots without padding as ``tensors``, the ``counters`` by part, and the ``memory``."""
    return {
        "tensors": {
            f"{name} of part {number}": genes(part.layout, each)
            for number, part in enumerate(mounted.parts)
            for name, each in {"weights": part.weights, **part.slots}.items()
        },
        "counters": {f"part {number}": dict(part.counters) for number, part in enumerate(mounted.parts)},
        "memory": {name: bits(each) for name, each in mounted.memory.items()},
    }


def rebuilt(component: Any, values: Mapping[str, Any]) -> Any:
    """A component of the same kind from its settings as plain values; parts of it likewise."""
    parts = {name: getattr(component, name) for name in values}
    made = {
        name: rebuilt(parts[name], value) if dataclasses.is_dataclass(parts[name]) else value
        for name, value in values.items()
    }
    return type(component)(**made)


@contextmanager
def unmoved(mounted: Mounted) -> Iterator[None]:
    """Raise if what is done meanwhile changes weights, slots or counters."""
    before = state_of(mounted)
    yield
    expect_same(state_of(mounted), before, "weights or state changed")
