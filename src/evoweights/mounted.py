"""The live module that individuals take turns in: its parameters are views of the buffers of whoever is mounted."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from evoweights.genome import Part, check_mounted
from evoweights.population import Population


@dataclass(frozen=True)
class Blueprint:
    """How a population is founded, as a component of kind ``population`` says it.

    ``module`` is the live module of one individual; ``initialise(i)`` writes individual i's first weights into it, in place
    (what it writes to shared parameters counts only for i = 0); ``is_shared(name)`` tells which parameters all
    individuals share; ``depth`` is the number of layers of the undivided model.
    """

    module: nn.Module
    size: int
    initialise: Callable[[int], None]
    is_shared: Callable[[str], bool]
    home: str = "auto"
    depth: int = 1


@dataclass
class Mounted:
    """The live module and the buffers its parameters are views of.

    ``own`` holds the genome of the individual in ``row``; ``shared`` holds what all individuals share, one storage from
    the start to the end of a run.
    """

    module: nn.Module
    own: Part
    shared: Part
    depth: int = 1
    row: int | None = None

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts that hold any genes."""
        return tuple(part for part in (self.own, self.shared) if part.layout.count)

    def load(self, population: Population, row: int) -> None:
        """Mount an individual: copy its weights, slots and buffers in."""
        check_mounted(self.module, self.own)
        self.own.weights.copy_(population.row(row))
        for name, slot in self.own.slots.items():
            slot.copy_(population.row(row, name))
        self.own.counters = dict(population.individuals[row].counters)
        self.put_buffers_(population.buffers[row])
        self.row = row

    def store(self, population: Population) -> None:
        """Copy the mounted individual back to where it lives."""
        assert self.row is not None
        check_mounted(self.module, self.own)
        population.unsaved.add(self.row)
        population.row(self.row).copy_(self.own.weights)
        for name, slot in self.own.slots.items():
            population.row(self.row, name).copy_(slot)
        population.individuals[self.row].counters = dict(self.own.counters)
        population.buffers[self.row] = self.buffers()

    def put_buffers_(self, values: Mapping[str, Tensor]) -> None:
        """Copy an individual's buffers into the module; those it does not have stay."""
        for name, buffer in self._buffers.items():
            if name in values:
                buffer.copy_(values[name])

    def buffers(self) -> dict[str, Tensor]:
        """Copies of the persistent buffers, in host memory: part of an individual, saved with it, but not evolved."""
        return {name: buffer.detach().to("cpu", copy=True) for name, buffer in self._buffers.items()}

    @functools.cached_property
    def _buffers(self) -> dict[str, Tensor]:
        persistent = self.module.state_dict(keep_vars=True)
        return {name: each for name, each in self.module.named_buffers() if name in persistent}
