"""Hypothesis strategies for authors' own tests: extreme numbers, genomes, layouts, populations, fitness lists, modules.

For example, that an operator's arithmetic never leaves what a float32 holds::

    from hypothesis import given
    from evoweights.testing import strategies

    @given(x=strategies.genes(100), leader=strategies.genes(100))
    def test_finite(x, leader):
        assert my_arithmetic(x, leader).isfinite().all()
"""

import functools
import math
import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from evoweights.genome import ROLES, Layout, Segment
from evoweights.seeds import Noise, seeded
from evoweights_kernels import TILE

if TYPE_CHECKING:
    from evoweights.population import Population, Slot

__all__ = [
    "DTYPES",
    "SIZES",
    "dtypes",
    "extreme_floats",
    "extremes",
    "fitnesses",
    "genes",
    "genes_of",
    "genomes",
    "layouts",
    "modules",
    "populations",
    "seeds",
    "segments_of",
    "shapes",
    "sizes",
]

SIZES = (0, 1, 63, 1000, 1023, 1024, 1025, 4097)
"""Around the tile of 1,024 genes and away from every power of two."""

DTYPES = (torch.float32, torch.bfloat16)


def extremes(dtype: torch.dtype) -> Tensor:
    """Numbers at the edges of a dtype: both zeros, subnormals, the smallest normal, eps, 1 and the largest."""
    info = torch.finfo(dtype)
    positive = [0.0, info.smallest_normal / 64, info.smallest_normal, info.eps, 1.0, 1.0 + info.eps, info.max]
    return torch.tensor(positive + [-each for each in positive], dtype=torch.float64).to(dtype)


def genes_of(seed: int | Sequence[int], count: int, dtype: torch.dtype, *, extreme_share: float = 0.3) -> Tensor:
    """``count`` genes: normals of widely differing size, a share of them replaced by extreme numbers."""
    drawn = np.random.default_rng(seed)
    values = drawn.standard_normal(count) * (10.0 ** np.arange(-6, 3))[drawn.integers(0, 9, count)]
    values = torch.from_numpy(values).to(dtype)
    table = extremes(dtype)
    picked = table[torch.from_numpy(drawn.integers(0, len(table), count))]
    return torch.where(torch.from_numpy(drawn.random(count) < extreme_share), picked, values)


@functools.cache
def _table(dtype: torch.dtype, extreme_share: float) -> Tensor:
    return genes_of(1, 2**17, dtype, extreme_share=extreme_share)


def genes_from_table(seed: Sequence[int], count: int, dtype: torch.dtype, *, extreme_share: float) -> Tensor:
    """Genes like those of ``genes_of``, cut out of a table that is made once: for checks that need many."""
    table = _table(dtype, extreme_share)
    if count >= len(table):
        return genes_of(seed, count, dtype, extreme_share=extreme_share)
    start = zlib.crc32(repr(list(seed)).encode()) % (len(table) - count)
    return table[start : start + count].clone()


seeds = st.integers(0, 2**64 - 1)
"""Seeds of a run: 64 bits."""

sizes = st.sampled_from(SIZES)
"""Numbers of genes."""

dtypes = st.sampled_from(DTYPES)
"""The types of genomes."""


def genes(count: int, dtype: torch.dtype = torch.float32) -> st.SearchStrategy[Tensor]:
    """Vectors of finite genes with both ordinary and extreme numbers."""
    return st.builds(
        lambda seed, share: genes_of(seed, count, dtype, extreme_share=share),
        st.integers(0, 2**32 - 1),
        st.sampled_from((0.0, 0.3, 1.0)),
    )


def extreme_floats(dtype: torch.dtype = torch.float32) -> st.SearchStrategy[float]:
    """Numbers at the edges of a dtype, as that dtype holds them: see :func:`extremes`."""
    return st.sampled_from(extremes(dtype).double().tolist())


def genomes(layout: Layout) -> st.SearchStrategy[Tensor]:
    """Whole genomes, ``[layout.size]`` in the layout's dtype, of finite genes both ordinary and extreme; padding is 0."""

    def unpadded(drawn: Tensor) -> Tensor:
        made = torch.zeros_like(drawn)
        for each in layout.segments:
            each.view(made).copy_(each.view(drawn))
        return made

    return genes(layout.size, layout.dtype).map(unpadded)


fitnesses = st.lists(
    st.one_of(
        st.floats(-10, 10, width=16),
        st.sampled_from((float("nan"), float("inf"), float("-inf"), 0.0, -0.0, 1.0, 2.0)),
    ),
    min_size=1,
    max_size=9,
)
"""Losses of one to nine individuals, with NaN (unknown or failed), infinities, both zeros and ties."""


def segments_of(shapes_by_role: Sequence[tuple[str, tuple[int, ...]]]) -> tuple[Segment, ...]:
    """Segments in the order of their roles, each from the next multiple of a tile."""
    segments: list[Segment] = []
    start = 0
    for number, (role, shape) in enumerate(sorted(shapes_by_role, key=lambda each: ROLES.index(each[0]))):
        segments.append(Segment(f"{role}.{number}", shape, role, start))
        start += -(-segments[-1].count // TILE) * TILE
    return tuple(segments)


shapes = st.one_of(
    sizes.map(lambda size: (size,)),
    st.tuples(st.sampled_from((0, 1, 3, 33)), st.sampled_from((0, 1, 31, 40))),
    st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 2), st.just(2), st.just(3)),
    st.just(()),
)
"""Shapes of tensors: of no gene, of one, of none to five dimensions."""


def layouts(dtype: torch.dtype | None = None, roles: Sequence[str] = ROLES) -> st.SearchStrategy[Layout]:
    """Layouts of one to six random segments."""
    picked = st.lists(st.tuples(st.sampled_from(roles), shapes), min_size=1, max_size=6)
    return st.builds(
        lambda each, chosen: Layout(segments_of(each), chosen), picked, dtypes if dtype is None else st.just(dtype)
    )


def _layer(kind: str, width: int, height: int, is_frozen: bool) -> nn.Module:
    made: dict[str, Callable[[], nn.Module]] = {
        "linear": lambda: nn.Linear(width, height),
        "plain": lambda: nn.Linear(width, height, bias=False),
        "norm": lambda: nn.LayerNorm(width),
        "table": lambda: nn.Embedding(height, width),
        "conv": lambda: nn.Conv1d(width % 5 + 1, 2, 3),
    }
    return made[kind]().requires_grad_(not is_frozen)


@st.composite
def modules(draw: st.DrawFn) -> nn.ModuleDict:
    """Modules of one to five layers whose parameters have every role; some layers are frozen."""
    kinds = st.sampled_from(("linear", "plain", "norm", "table", "conv"))
    width = st.sampled_from((1, 7, 32, 33))
    layers = draw(st.lists(st.tuples(kinds, width, width, st.booleans()), min_size=1, max_size=5))
    with seeded(Noise(len(layers))):
        return nn.ModuleDict({f"layer{i}": _layer(*each) for i, each in enumerate(layers)})


@st.composite
def populations(
    draw: st.DrawFn,
    layout: Layout | None = None,
    *,
    sizes: Sequence[int] = (1, 2, 3, 5),
    slots: "Sequence[Slot]" = (),
) -> "Population":
    """Populations in host memory, of this layout or of a random one: weights, slots, counters, buffers and even padding hold
    arbitrary numbers, some of them extreme.

    Each individual is measured, unknown or failed, and measured ones may tie.
    """
    from evoweights.testing.populations import population_of

    chosen = draw(layouts()) if layout is None else layout
    share, seed = draw(st.sampled_from((0.0, 0.3, 1.0))), draw(st.integers(0, 2**32 - 1))
    made = population_of(chosen, draw(st.sampled_from(sizes)), slots=slots, seed=seed, extreme_share=share)
    losses = st.sampled_from((math.nan, math.inf, 0.0, 1.0, 1.0, 2.5, -3.0))
    for each in made.individuals:
        each.fitness = draw(losses)
        each.failed = math.isinf(each.fitness)
        if math.isfinite(each.fitness):
            each.score = each.best_fitness = each.start = each.fitness
    return made
