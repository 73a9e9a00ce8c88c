"""The live module that individuals take turns in: its parameters are views of the buffers of whoever is mounted."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from evoweights.homes.copies import CopyWatch
from evoweights.homes.part import Part, check_mounted, compute_in_
from evoweights.homes.swaps import PlainSwaps, Swaps, copy_
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
    the start to the end of a run. ``memory`` are tensors of any shape that improvers keep for the individual, by names
    that begin with the improver's; whoever changes one puts another in its place. ``share`` gives the share of a parameter's
    elements, by its name, that the module computes with, if it is not all of them: for counting FLOPs. ``is_counted`` is
    False while a process does what each must do once, such as a check: it is no work of the run. ``moved`` are the bytes that
    went between where individuals live and the module.
    """

    module: nn.Module
    own: Part
    shared: Part
    depth: int = 1
    row: int | None = None
    memory: dict[str, Tensor] = field(default_factory=dict)
    swaps: Swaps = field(default_factory=PlainSwaps)
    share: Callable[[str], float] | None = None
    is_counted: bool = True
    moved: int = 0
    _watch: CopyWatch = field(default_factory=CopyWatch)

    def __post_init__(self) -> None:
        """Give buffers that share memory with themselves, as expanded ones do, memory of their own: they are written to."""
        for buffer in self._persistent().values():
            if any(step == 0 and length > 1 for step, length in zip(buffer.stride(), buffer.shape, strict=True)):
                buffer.data = buffer.data.clone(memory_format=torch.contiguous_format)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts that hold any genes."""
        return tuple(part for part in (self.own, self.shared) if part.layout.count)

    def compute_in_(self, dtype: torch.dtype) -> None:
        """Let forward and backward use copies of the genomes in ``dtype``, rounded from them; the genomes stay as they are."""
        for part in self.parts:
            compute_in_(self.module, part, dtype)
        self._watch = CopyWatch()

    def refresh_(self) -> None:
        """Let the module know weights that were written into its parts; a feed does it before every loss."""
        self._watch.look_(self.parts)
        for part in self.parts:
            part.refresh_()
        self._watch.keep_(self.parts)

    def refuse_written_copies(self, improver: str) -> None:
        """See that nothing but :meth:`refresh_` wrote to the copies of the genomes since the individual was loaded.

        Raises:
            PluginError: something did, so its work would be lost.
        """
        self._watch.refuse_writes(self.parts, improver)

    def load(self, population: Population, row: int) -> None:
        """Mount an individual: copy its weights, slots and buffers in."""
        check_mounted(self.module, self.own)
        self.moved += self.swaps.load_(self.own.weights, self.own.slots, population.rows, row)
        self.own.counters = dict(population.individuals[row].counters)
        self.memory = dict(population.memory[row])
        self.put_buffers_(population.buffers[row])
        self._watch = CopyWatch()
        self.refresh_()
        self.row = row

    def show(self, population: Population, row: int) -> None:
        """Mount an individual to look at it: weights and buffers only, so that it cannot be trained and stored."""
        check_mounted(self.module, self.own)
        self.moved += copy_(self.own.weights, population.row(row))
        self.put_buffers_(population.buffers[row])
        self.refresh_()
        self.row = None

    def store(self, population: Population) -> None:
        """Copy the mounted individual back to where it lives."""
        assert self.row is not None
        check_mounted(self.module, self.own)
        self.moved += self.swaps.store(self.own.weights, self.own.slots, population.rows, self.row)
        population.changed(self.row)
        population.individuals[self.row].counters = dict(self.own.counters)
        population.buffers[self.row], population.memory[self.row] = self.buffers(), dict(self.memory)

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
        return self._persistent()

    def _persistent(self) -> dict[str, Tensor]:
        persistent = self.module.state_dict(keep_vars=True)
        return {name: each for name, each in self.module.named_buffers() if name in persistent}
