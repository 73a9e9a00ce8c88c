"""The grounds that operators are checked on: a draw, the population made from it, and what the operator makes of that."""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from hypothesis import strategies as st
from torch import Tensor

from evoweights.contract import calling
from evoweights.errors import PluginError, UsageError
from evoweights.genome import Layout
from evoweights.operators import GeneOperator, Pair, PairOperator, TensorOperator
from evoweights.population import BUFFER, WEIGHTS, Population, Slot
from evoweights.seeds import Noise
from evoweights.testing.comparing import Bits, bits
from evoweights.testing.parents import further_parents
from evoweights.testing.populations import CPU, vary_
from evoweights.testing.strategies import DTYPES, SIZES, genes_from_table, layouts, seeds, segments_of
from evoweights.variation import gene_call
from evoweights_kernels import Call, KernelError, apply_

STATE = (Slot("adamw.first_moment"), Slot("other.memory", "state"))
"""Slots of others, which are no operator's business."""

Operator = TypeVar("Operator", bound=PairOperator)


@dataclass(frozen=True)
class Draw:
    """What is chosen for a check: a layout, the run's seed, the share of genes that are extreme numbers, how many rows."""

    layout: Layout
    seed: int = 1
    share: float = 0.3
    rows: int = 3

    def __str__(self) -> str:
        sizes = ", ".join(str(each.shape) for each in self.layout.segments[:3]) or "no tensor"
        more = f" and {len(self.layout.segments) - 3} more" if len(self.layout.segments) > 3 else ""
        extreme = f"{self.share:.0%} extreme genes" if self.share else "moderate genes"
        return f"{sizes}{more} in {self.layout.dtype}, {self.rows} individuals, {extreme}, seed {self.seed}"


@functools.cache
def awkward_layout(dtype: torch.dtype = torch.float32) -> Layout:
    """Segments of 0, 1, 63, 1000, 4097 genes and others around the borders of tiles, in every role."""
    shapes = [
        ("matrix", (63, 1)), ("matrix", (0, 3)), ("matrix", (17, 241)), ("matrix", (1000, 1)), ("vector", (1,)),
        ("vector", ()), ("vector", (1025,)), ("vector", (0,)), ("embedding", (31, 33)), ("embedding", (2, 4, 4, 4, 8)),
        ("frozen", (5, 5)),
    ]  # fmt: skip
    return Layout(segments_of(shapes), dtype)


@functools.cache
def _usual_layouts() -> tuple[Layout, ...]:
    """The awkward layout, single tensors of awkward sizes, a few small ones of several tensors, and no tensor at all."""
    several = ([("matrix", (3, 40)), ("vector", (1,))], [("vector", ()), ("embedding", (33, 31)), ("frozen", (7,))])
    alone = [[("matrix", (size,))] for size in (*SIZES, 2**13 + 1)]
    made = [Layout(segments_of(shapes), each) for shapes in (*alone, *several, []) for each in DTYPES]
    return (*(awkward_layout(each) for each in DTYPES), *made)


def draws(
    dtype: torch.dtype | None = None,
    *,
    rows: int = 3,
    shares: Sequence[float] = (0.3, 0.0, 1.0),
    is_wide: bool = True,
    among: Sequence[Layout] = (),
) -> st.SearchStrategy[Draw]:
    """The awkward layout first, then single segments of awkward sizes, and no segment at all; random layouts if ``is_wide``.

    ``shares`` are the shares of extreme genes to choose from; ``among`` are the layouts, if others are wanted than these.
    """
    layout = st.sampled_from([each for each in among or _usual_layouts() if dtype in (None, each.dtype)])
    if is_wide and not among:
        layout = st.one_of(layout, layouts(dtype))
    return st.builds(Draw, layout, seeds, st.sampled_from(shares), st.just(rows))


def with_settings(operator: Operator, **settings: Any) -> Operator:
    """A copy of the operator with other settings."""
    return dataclasses.replace(operator, **settings)


def is_random(operator: PairOperator) -> bool:
    """Whether its result depends on the seed: by its kernel, or else by what it claims."""
    if isinstance(operator, GeneOperator):
        return any(each.is_noise for each in operator.kernel.arguments)
    return bool(operator.traits.stochastic)


def label(operator: PairOperator) -> str:
    """The operator's name and the settings that are not at their default, for the names of tests."""
    told = [
        f"{each.name}={getattr(operator, each.name)}"
        for each in dataclasses.fields(operator)
        if each.default is not dataclasses.MISSING and getattr(operator, each.name) != each.default
    ]
    return "-".join([operator.name, *told])


@functools.lru_cache(maxsize=512)
def _filled(
    slots: tuple[Slot, ...], size: int, dtype: torch.dtype, row: int, seed: int, share: float
) -> dict[str, Tensor]:
    """The tensors of a row before anything acts: those of all layouts of a size."""
    empty = Layout((), dtype)
    tensors = {WEIGHTS: genes_from_table([seed, row], size, dtype, extreme_share=share)}
    for number, slot in enumerate(slots):
        tensors[slot.name] = genes_from_table([seed, row, number], size, slot.dtype_for(empty), extreme_share=0.0)
    tensors[f"{BUFFER}running_mean"] = torch.full((3,), float(row))
    return tensors | {f"{BUFFER}count": torch.tensor(row), f"{BUFFER}mask": torch.tensor([True, False, row > 1])}


def settled(operator: PairOperator, draw: Draw) -> Population:
    """A population that the operator can act on, with state that is not its business, before it acts."""
    slots = (*operator.slots, *STATE)
    population = Population(draw.layout, draw.rows, home="host", device=CPU, folder=Path(), slots=slots)
    for row in range(draw.rows):
        population.restore(row, _filled(slots, draw.layout.size, draw.layout.dtype, row, draw.seed, draw.share))
        population.buffers[row] = {name: each.clone() for name, each in population.buffers[row].items()}
        population.individuals[row].counters = {"adamw.steps": 10 + row}
    return population


def varied(operator: PairOperator, draw: Draw, backend: str, *, optimizer_state: str = "keep") -> Population:
    """That population after the operator has rewritten all rows but the first, with the first as their source."""
    population = settled(operator, draw)
    vary_(population, operator, seed=draw.seed, backend=backend, optimizer_state=optimizer_state)
    return population


_varied_once = functools.lru_cache(maxsize=128)(varied)


def outcome(operator: PairOperator, draw: Draw, backend: str) -> Population:
    """The same, made once for all checks: only to be looked at."""
    try:
        hash(operator)
    except TypeError:  # a setting is a list or a mapping
        return varied(operator, draw, backend)
    return _varied_once(operator, draw, backend)


def unguarded(operator: PairOperator, population: Population, draw: Draw, backend: str) -> Tensor:
    """Row 1 after the operator has rewritten it from row 0, whatever it holds: the engine refuses what is not finite."""
    if isinstance(operator, TensorOperator):
        segments, noise = population.layout.scope("all"), Noise(draw.seed, "here")
        target, source = ({each.name: each.view(population.row(row)).clone() for each in segments} for row in (1, 0))
        for name, each in operator.rewrite(target, source, noise).items():
            next(one for one in segments if one.name == name).view(population.row(1)).copy_(each)
    else:
        vary_(population, operator, seed=draw.seed, backend=backend)
    return population.row(1)


def forget() -> None:
    """Let go of the populations that were kept for further checks."""
    _filled.cache_clear()
    _varied_once.cache_clear()


def bound(operator: GeneOperator, population: Population, draw: Draw, *, own: bool = False) -> Call:
    """The kernel call that rewrites row 1 from row 0; on copies of all tensors if ``own``."""
    target = population.row(1)
    with calling(f"operator {operator.name}: tile_scalars"):
        tables = operator.tile_scalars(population.layout, target)
    rows, noise = further_parents(operator), Noise(draw.seed, "here")
    pair = Pair(1, 0, rows if rows and rows[-1] < population.size else ())
    others = [population.row(row) for row in pair.others]
    call = gene_call(population, operator, pair, target, population.row(0), tables, noise, others=others)
    if not own:
        return call
    return Call(call.kernel, {name: each.clone() for name, each in call.tensors.items()}, call.scalars, call.streams)


def why_not_launched(operator: GeneOperator) -> str:
    """Why its kernel cannot be launched on any genome: a mistake in its body, an argument that no setting is named like, or what
    its settings make of them; empty if it can, or if it refuses the genome that it is given here."""
    draw = Draw(Layout(segments_of([("matrix", (1,))]), torch.float32), rows=2)
    population = settled(operator, draw)
    try:
        with calling(f"operator {operator.name}: tile_scalars"):
            operator.tile_scalars(population.layout, population.row(1))
    except UsageError:  # of these tensors: each rule says what it refuses
        return ""
    except PluginError as error:
        return str(error)
    try:
        apply_([bound(operator, population, draw)], seed=draw.seed, backend="reference")
    except (PluginError, UsageError, KernelError) as error:
        return str(error)
    return ""


def genes(layout: Layout, tensor: Tensor) -> dict[str, Bits]:
    """The genes of every segment, by name, without padding."""
    return {each.name: bits(each.view(tensor)) for each in layout.segments}
