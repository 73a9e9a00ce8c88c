"""What an operator takes of memory: at its peak, and what is still there after many calls."""

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._pytree import tree_leaves

from evoweights.operators import GeneOperator, PairOperator, TensorOperator
from evoweights.population import Population
from evoweights.seeds import Noise
from evoweights.testing.checks.instead import instead
from evoweights.testing.checks.watching import Watching
from evoweights.testing.grounds import Draw
from evoweights.testing.parents import rows_of
from evoweights.testing.populations import CPU, vary_
from evoweights.testing.rules import Choice, Level, condition, rule, traits_of

SLACK = 128 * 1024
"""Bytes that are no operator's: what the interpreter takes at any time."""

CALLS = 12
"""After how many calls memory is looked at again."""


class MemoryUse(Watching):
    """Counts the bytes of tensors that are made while it is on and are still there; ``peak`` is the most there was."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._made: list[tuple[StorageWeakRef, int, int]] = []

    @property
    def now(self) -> int:
        """The bytes of what is still there."""
        self._made = [each for each in self._made if not each[0].expired()]
        return sum(size for *_, size in self._made)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {each.untyped_storage()._cdata for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)}
        result = func(*args, **(kwargs or {}))
        seen = given | {place for made, place, _ in self._made if not made.expired()}
        for each in tree_leaves(result):
            if isinstance(each, Tensor) and (place := (storage := each.untyped_storage())._cdata) not in seen:
                self._made.append((StorageWeakRef(storage), place, storage.nbytes()))
                seen.add(place)
        self.peak = max(self.peak, self.now)
        return result


@contextmanager
def _traced() -> Iterator[int]:
    """Count what Python and numpy allocate as well; the bytes that are there at first."""
    is_first = not tracemalloc.is_tracing()
    if is_first:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        yield tracemalloc.get_traced_memory()[0]
    finally:
        if is_first:
            tracemalloc.stop()


@contextmanager
def _set_aside() -> Iterator[None]:
    """Set everything there is aside for the collector of garbage, so that a collection is quick and finds only what is new."""
    is_aside = bool(gc.get_freeze_count())
    gc.freeze()
    try:
        yield
    finally:
        if not is_aside:  # or it would look through what the caller has set aside
            gc.unfreeze()


def _now(use: MemoryUse) -> int:
    """The bytes there are, once what waits for the collector of garbage is gone: it comes whenever it likes."""
    gc.collect()
    return use.now + tracemalloc.get_traced_memory()[0]


@condition("gene kernels; others with memory_factor")
def _tells_its_memory(operator: PairOperator) -> str:
    known = isinstance(operator, GeneOperator) or traits_of(operator).memory_factor is not None
    return "" if known else "does not claim memory_factor"


def _squares(side: int) -> Choice:
    return instead((side, side), (side, side), share=0.0, rows=rows_of)


def _genomes(operator: PairOperator, draw: Draw) -> Population:
    """A population of plain numbers."""
    population = Population(draw.layout, draw.rows, home="host", device=CPU, folder=Path(), slots=tuple(operator.slots))
    for row in range(population.size):
        for name in ("weights", *(slot.name for slot in operator.slots)):
            population.row(row, name).fill_(row + 0.5)
    return population


def _call(operator: PairOperator, population: Population, draw: Draw, backend: str) -> Callable[[], object]:
    """What is measured: a phase of a kernel, or what an operator in plain torch does with the copies that it is given."""
    if not isinstance(operator, TensorOperator):
        return lambda: vary_(population, operator, seed=draw.seed, backend=backend)
    target, source = (
        {each.name: each.view(population.row(row)).clone() for each in population.layout.segments} for row in (1, 0)
    )
    return lambda: operator.rewrite(target, source, Noise(draw.seed, "here"))


@rule("G20", _tells_its_memory, most=1, level=Level.BOUND, on=_squares(512))
def peak(operator: PairOperator, backend: str, draw: Draw) -> None:
    """G20: one call takes no more memory beside what it is given than memory_factor says, in genomes; a kernel takes none
    unless it says so."""
    if isinstance(operator, GeneOperator) and backend != "cpu":
        return  # the reference computes in tensors as large as the genome, others on their device
    factor = traits_of(operator).memory_factor or 0.0
    population = _genomes(operator, draw)
    genome = population.row(0).numel() * population.row(0).element_size()
    call = _call(operator, population, draw, backend)
    call()  # what is compiled and loaded once does not count
    with _traced() as before, MemoryUse() as use:
        result = call()
        taken = use.peak + tracemalloc.get_traced_memory()[1] - before
    del result
    allowed = factor * genome + genome / 100 + SLACK
    assert taken <= allowed, f"takes {taken / genome:.2f} genomes at its peak, {factor:g} are claimed"


@rule("G20-growth", _tells_its_memory, most=1, level=Level.BOUND, on=_squares(128))
def growth(operator: PairOperator, backend: str, draw: Draw) -> None:
    """G20: however often it is called, nothing of what it made stays behind."""
    if isinstance(operator, GeneOperator) and backend != "cpu":
        return
    population = _genomes(operator, draw)
    genome = population.row(0).numel() * population.row(0).element_size()
    call = _call(operator, population, draw, backend)
    call()
    with _set_aside(), _traced(), MemoryUse() as use:
        call()
        before = _now(use)
        for _ in range(CALLS):
            call()
        after = _now(use)
    grown = after - before
    assert grown <= genome / 100 + SLACK, f"{CALLS} calls leave {grown / genome:.2f} genomes behind"


MEMORY_RULES = (peak, growth)
"""What holds for the memory of every operator."""
