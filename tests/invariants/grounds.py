"""The grounds that operators are checked on: who is checked, on what, and how a population there is compared."""

import functools
from dataclasses import dataclass
from pathlib import Path

import torch
from hypothesis import strategies as st

from evoweights.genome import Layout
from evoweights.operators import GeneOperator, Pair, PairOperator
from evoweights.population import Population, Slot
from evoweights.seeds import Noise
from evoweights.variation import gene_call
from evoweights_kernels import Call
from operators_under_test import operators
from populations import CPU, bits, flat_layout, population_of, vary_
from strategies import SIZES, layouts, segments_of

OPERATORS = list(operators())
STATE = (Slot("adamw.first_moment"), Slot("other.memory", "state"))


def on(backend, kind=PairOperator):
    """The operators of a kind to check on a target: all; in Triton's interpreter, which is slow, one for each kernel."""
    chosen = [each for each in OPERATORS if isinstance(each, kind)]
    if backend == "triton":
        kernels = {each.kernel.fingerprint: each for each in chosen if isinstance(each, GeneOperator)}
        chosen = [each for each in chosen if not isinstance(each, GeneOperator)] + list(kernels.values())
    return chosen


@dataclass(frozen=True)
class Draw:
    """What is chosen for a check: a layout, the run's seed, the share of genes that are extreme numbers, and how many rows."""

    layout: Layout
    seed: int = 1
    share: float = 0.3
    rows: int = 3


def awkward_layout(dtype):
    """Segments of 0, 1, 63, 1000, 4097 genes and others around the borders of tiles, in every role."""
    shapes = [
        ("matrix", (63, 1)), ("matrix", (0, 3)), ("matrix", (17, 241)), ("matrix", (1000, 1)), ("vector", (1,)),
        ("vector", ()), ("vector", (1025,)), ("vector", (0,)), ("embedding", (31, 33)), ("embedding", (2, 4, 4, 4, 8)),
        ("frozen", (5, 5)),
    ]  # fmt: skip
    return Layout(segments_of(shapes), dtype)


def draws(dtype, rows):
    """The awkward layout first, then single segments of awkward sizes, random layouts, and no segment at all."""
    layout = st.one_of(
        st.just(awkward_layout(dtype)),
        st.sampled_from((*SIZES, 2**16 + 1)).map(lambda size: flat_layout(size, dtype)),
        layouts(dtype),
        st.just(Layout((), dtype)),
    )
    return st.builds(Draw, layout, st.integers(0, 2**64 - 1), st.sampled_from((0.3, 0.0, 1.0)), st.just(rows))


@functools.lru_cache(maxsize=32)
def _filled(slots, draw):
    """The tensors of every row before anything acts."""
    population = population_of(draw.layout, draw.rows, slots=slots, seed=draw.seed, extreme_share=draw.share)
    for row in range(draw.rows):
        population.buffers[row]["mask"] = torch.tensor([True, False, row > 1])
    return [population.tensors(row) for row in range(draw.rows)]


def settled(operator, draw):
    """A population that the operator can act on, with state that is not its business, before it acts."""
    slots = (*operator.slots, *STATE)
    population = Population(draw.layout, draw.rows, home="host", device=CPU, folder=Path(), slots=slots)
    for row, tensors in enumerate(_filled(slots, draw)):
        population.restore(row, tensors)
        population.buffers[row] = {name: each.clone() for name, each in population.buffers[row].items()}
        population.individuals[row].counters = {"adamw.steps": 10 + row}
    return population


def varied(operator, draw, backend, **options):
    """That population after the operator has rewritten all rows but the first, with the first as their source."""
    population = settled(operator, draw)
    vary_(population, operator, seed=draw.seed, backend=backend, **options)
    return population


@functools.lru_cache(maxsize=64)
def outcome(operator, draw, backend):
    """The same, made once for all checks: only to be looked at."""
    return varied(operator, draw, backend)


def bound(operator, population, draw, *, own=False):
    """The kernel call that rewrites row 1 from row 0; on copies of all tensors if ``own``."""
    target = population.row(1)
    tables = operator.tile_scalars(population.layout, target)
    call = gene_call(population, operator, Pair(1, 0), target, population.row(0), tables, Noise(draw.seed, "here"))
    if not own:
        return call
    return Call(call.kernel, {name: each.clone() for name, each in call.tensors.items()}, call.scalars, call.streams)


def genes(layout, tensor):
    """The genes of every segment, by name, without padding."""
    return {each.name: bits(each.view(tensor)) for each in layout.segments}
