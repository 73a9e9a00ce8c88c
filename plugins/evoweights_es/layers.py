"""Which modules own the parameters that are perturbed."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from evoweights.genome import Segment
from evoweights.homes.part import Part
from evoweights.mounted import Mounted
from evoweights_kernels import TILE


@dataclass(frozen=True, eq=False)
class Owned:
    """A perturbed parameter of a layer and where it lies."""

    parameter: nn.Parameter
    part: Part
    label: str
    segment: Segment

    @property
    def room(self) -> int:
        """Genes up to the end of its last tile."""
        return -(-self.segment.count // TILE) * TILE


@dataclass(frozen=True, eq=False)
class Layer:
    """A module that owns perturbed parameters."""

    path: str
    module: nn.Module
    owned: tuple[Owned, ...]


def layers_of(mounted: Mounted, segments: Callable[[Part], list[Segment]]) -> list[Layer]:
    """The modules that own a perturbed parameter; a tied one belongs to several."""
    parameters = dict(mounted.module.named_parameters())
    places = {
        id(parameters[segment.name]): Owned(parameters[segment.name], part, label, segment)
        for label, part in (("own", mounted.own), ("shared", mounted.shared))
        for segment in segments(part)
    }
    found = []
    for path, module in mounted.module.named_modules():
        own = dict(module.named_parameters(recurse=False))
        if owned := tuple(places[id(each)] for each in own.values() if id(each) in places):
            found.append(Layer(path, module, owned))
    return found
