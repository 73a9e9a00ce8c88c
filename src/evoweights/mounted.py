"""The live module that individuals take turns in: its parameters are views of the buffers of whoever is mounted."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from evoweights.errors import PluginError
from evoweights.homes.part import Part, check_mounted, compute_in_
from evoweights.homes.swaps import PlainSwaps, Swaps, copy_
from evoweights.population import Population
from evoweights_kernels import TILE


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
    that begin with the improver's; whoever changes one puts another in its place.
    """

    module: nn.Module
    own: Part
    shared: Part
    depth: int = 1
    row: int | None = None
    memory: dict[str, Tensor] = field(default_factory=dict)
    swaps: Swaps = field(default_factory=PlainSwaps)
    _digests: list[Tensor] = field(default_factory=list)
    _written: Tensor | None = None

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
        self._digests = []

    def refresh_(self) -> None:
        """Let the module know weights that were written into its parts; a feed does it before every loss."""
        self._look_at_copies_()
        for part in self.parts:
            part.refresh_()
        self._digests = [_digest(copy) for copy in self._copies]

    def refuse_written_copies(self, improver: str) -> None:
        """See that nothing but :meth:`refresh_` wrote to the copies of the genomes since the individual was loaded.

        Raises:
            PluginError: something did; the next refresh overwrites it, and no genome ever has it.
        """
        self._look_at_copies_()
        if self._written is None or not bool(self._written):
            return
        name = str(self._copies[0].dtype).removeprefix("torch.")
        raise PluginError(
            f"improve {improver}: the module's parameters were written to, but they are {name} copies that are rounded anew "
            "from the genome, so the work would be lost. Let the improver write to part.weights of mounted.parts, or set "
            "task.dtype to float32 or bfloat16, where the parameters are the genome."
        )

    @property
    def _copies(self) -> list[Tensor]:
        return [part.compute for part in self.parts if part.compute is not part.weights]

    def _look_at_copies_(self) -> None:
        """Note whether copies differ from what they were after the last refresh; does not wait for the device."""
        for copy, digest in zip(self._copies, self._digests, strict=False):
            differs = (_digest(copy) != digest).any()
            self._written = differs if self._written is None else self._written | differs

    def load(self, population: Population, row: int) -> None:
        """Mount an individual: copy its weights, slots and buffers in."""
        check_mounted(self.module, self.own)
        self.swaps.load_(self.own.weights, self.own.slots, population.rows, row)
        self.own.counters = dict(population.individuals[row].counters)
        self.memory = dict(population.memory[row])
        self.put_buffers_(population.buffers[row])
        self.refresh_()
        self._written = None
        self.row = row

    def show(self, population: Population, row: int) -> None:
        """Mount an individual to look at it: weights and buffers only, so that it cannot be trained and stored."""
        check_mounted(self.module, self.own)
        copy_(self.own.weights, population.row(row))
        self.put_buffers_(population.buffers[row])
        self.refresh_()
        self.row = None

    def store(self, population: Population) -> None:
        """Copy the mounted individual back to where it lives."""
        assert self.row is not None
        check_mounted(self.module, self.own)
        self.swaps.store(self.own.weights, self.own.slots, population.rows, self.row)
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


def _digest(genes: Tensor) -> Tensor:
    """A whole number for each tile, which a change of the tile's bits changes but for a chance that it adds up to none."""
    return genes.view(torch.int64).view(genes.numel() // TILE, -1).sum(1)
