"""What an outcome must not depend on: which part of the genome is looked at, names, neighbours, other individuals."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from evoweights.genome import Layout, Segment
from evoweights.operators import GeneOperator, PairOperator, TensorOperator
from evoweights.seeds import Noise
from evoweights.testing.checks.instead import instead
from evoweights.testing.comparing import Bits, bits, expect_same
from evoweights.testing.grounds import Draw, bound, genes, is_random, outcome, settled, varied, with_settings
from evoweights.testing.parents import further_parents
from evoweights.testing.populations import contents, flat_layout, scene_of, vary_
from evoweights.testing.rules import always, condition, gene_operator, rule, tried_on
from evoweights.variation import Named, vary
from evoweights_kernels import Call, Gene, apply_, gene_kernel
from evoweights_kernels.constants import TILE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


@condition("gene kernels, or tensor_wise, or gene_wise")
def _by_tensor(operator: PairOperator) -> str:
    traits = operator.traits
    if isinstance(operator, GeneOperator) or traits.tensor_wise or traits.gene_wise:
        return ""
    return "does not claim tensor_wise"


@rule("G07", _by_tensor, most=50)
def subset(operator: PairOperator, backend: str, draw: Draw) -> None:
    """G07: restricted to one tensor it does to that tensor what it does to all, and nothing to the others."""
    layout = draw.layout
    whole, fresh = outcome(operator, draw, backend), settled(operator, draw)
    live = [each for each in layout.segments if each.role != "frozen" and each.count]
    for segment in live[:: max(1, len(live) - 1)]:  # the first and the last
        part = varied(with_settings(operator, scope=segment.name), draw, backend)
        expected = genes(layout, fresh.row(1)) | {segment.name: bits(segment.view(whole.row(1)))}
        expect_same(genes(layout, part.row(1)), expected, f"with {segment.name} alone it does something else")


@rule("G08", gene_operator, most=2)
def shards(operator: GeneOperator, backend: str, draw: Draw) -> None:
    """G08: a genome cut at any tiles gets the bits of the whole, each part told its place."""
    sizes = {17, 4097} if backend == "triton" else {1, 15, 16, 17, 4095, 4096, 4097}
    for size in sorted(sizes):
        there = dataclasses.replace(draw, layout=flat_layout(size, draw.layout.dtype))
        with tried_on(backend, there):
            _in_parts(operator, backend, there)


def _in_parts(operator: GeneOperator, backend: str, draw: Draw) -> None:
    whole, parts = settled(operator, draw), settled(operator, draw)
    live = draw.layout.live(draw.layout.segments)
    apply_([bound(operator, whole, draw)], seed=draw.seed, live=live, backend=backend)
    call = bound(operator, parts, draw)
    for first in range(0, len(live), 1 + (draw.seed + 1) % 3):
        tiles = slice(first, first + 1 + (draw.seed + 1) % 3)
        here = slice(tiles.start * TILE, tiles.stop * TILE)
        tensors = {n: each[tiles if len(each) == len(live) else here] for n, each in call.tensors.items()}
        shard = Call(call.kernel, tensors, call.scalars, call.streams)
        apply_([shard], seed=draw.seed, live=live[tiles], first_tile=first, backend=backend)
    said = f"{draw.layout.segments[0].count} genes in parts become something else"
    expect_same(contents(parts), contents(whole), said, counted=["individual"], layout=draw.layout)


@condition("what draws no numbers")
def _deterministic(operator: PairOperator) -> str:
    return "is stochastic" if is_random(operator) else ""


def _rounded(operator: PairOperator, backend: str, draw: Draw) -> tuple[str, Draw]:
    """Where what rounds to nearest runs: for bfloat16, a kernel would be compiled for this alone."""
    del operator  # unused: that holds for all of them
    return "reference" if draw.layout.dtype == torch.bfloat16 else backend, draw


@rule("G09", _deterministic, on=_rounded)
def ordered(operator: PairOperator, backend: str, draw: Draw) -> None:
    """G09: with its tensors in another order, an operator that draws no numbers does the same to each of them."""
    moved, start = [], 0
    for each in reversed(draw.layout.segments):
        moved.append(Segment(each.name, each.shape, each.role, start))
        start += -(-each.count // TILE) * TILE
    turned = settled(operator, dataclasses.replace(draw, layout=Layout(tuple(moved), draw.layout.dtype)))
    origin = settled(operator, draw)
    for row in range(draw.rows):
        for name in ("weights", *(slot.name for slot in operator.slots)):
            for segment in turned.layout.segments:
                old = next(each for each in draw.layout.segments if each.name == segment.name)
                segment.view(turned.row(row, name)).copy_(old.view(origin.row(row, name)))
    nearest = with_settings(operator, rounding="nearest")
    vary_(turned, nearest, seed=draw.seed, backend=backend)
    vary_(origin, nearest, seed=draw.seed, backend=backend)
    found, wanted = genes(turned.layout, turned.row(1)), genes(draw.layout, origin.row(1))
    expect_same(found, wanted, "in another order a tensor becomes something else")


@condition("gene kernels; others that draw no numbers")
def _no_named_noise(operator: PairOperator) -> str:
    if isinstance(operator, GeneOperator) or not is_random(operator):
        return ""
    return "draws its noise by the names of tensors"


@rule("G10", _no_named_noise, most=50)
def renamed(operator: PairOperator, backend: str, draw: Draw) -> None:
    """G10: other names change nothing."""
    layout = draw.layout
    other = [dataclasses.replace(each, name=f"renamed {i}") for i, each in enumerate(reversed(layout.segments))][::-1]
    one = outcome(operator, draw, backend)
    two = varied(operator, dataclasses.replace(draw, layout=Layout(tuple(other), layout.dtype)), backend)
    found, wanted = genes(two.layout, two.row(1)).values(), genes(layout, one.row(1)).values()
    expect_same([*found], [*wanted], "with another name a tensor becomes something else", counted=["tensor"])


@gene_kernel
def held(x: Gene) -> Gene:
    """Leave the gene as it is."""
    return x


@dataclass(frozen=True)
class Hold(GeneOperator):
    """Leaves every gene alone, in a kernel."""

    name: ClassVar[str] = "hold"
    source: ClassVar[str] = "the conformance kit"
    kernel = held


@dataclass(frozen=True)
class Same(TensorOperator):
    """Gives back what it was given."""

    name: ClassVar[str] = "same"
    source: ClassVar[str] = "the conformance kit"

    def rewrite(
        self, target: "Mapping[str, Tensor]", source: "Mapping[str, Tensor]", noise: Noise
    ) -> "Mapping[str, Tensor]":
        """The target itself."""
        del source, noise  # unused: nothing is to change
        return target


def unmoved_by(identities: Sequence[PairOperator], operator: PairOperator, backend: str, draw: Draw) -> None:
    """Raise unless the operator makes the same with each of the identities before it and behind it."""

    def made(*entries: Named) -> list[dict[str, Bits]]:
        population, noise, scene = settled(operator, draw), Noise(draw.seed), scene_of(draw.rows)
        vary(population, entries, scene, generation=3, noise=noise, backend=backend, optimizer_state="keep")
        return contents(population)

    by_itself = made(Named("operator", operator))
    for identity in identities:
        mine, nothing = Named("operator", operator), Named("identity", identity)
        for place, entries in (("before", (nothing, mine)), ("after", (mine, nothing))):
            said = f"with an operator that changes nothing {place} it, it does something else"
            expect_same(made(*entries), by_itself, said, counted=["individual"], layout=draw.layout)


@rule("G24", always, most=3, on=instead(share=0.0))
def neutral(operator: PairOperator, backend: str, draw: Draw) -> None:
    """G24: an operator that changes nothing, before or after it, changes nothing, fused or not."""
    unmoved_by([Same(scope="all")], operator, backend, draw)
    with tried_on("reference", draw):  # elsewhere every pair takes seconds to compile
        unmoved_by([Hold(scope="all")], operator, "reference", draw)


@rule("G25", always, most=50)
def alone(operator: PairOperator, backend: str, draw: Draw) -> None:
    """G25: what becomes of an individual depends on itself, its row and its parents alone."""
    usual = outcome(operator, draw, backend)
    crowd = settled(operator, dataclasses.replace(draw, rows=draw.rows + 1))
    parents = further_parents(operator)
    for row in sorted({*range(2, draw.rows)} - {*parents}):
        crowd.restore(row, crowd.tensors(draw.rows))
    vary_(crowd, operator, seed=draw.seed, backend=backend)
    expect_same(contents(crowd)[1], contents(usual)[1], "others in the population decide", layout=draw.layout)
    if is_random(operator) or parents:
        return
    turned = settled(operator, draw)
    order = (draw.rows - 1, *range(draw.rows - 1))
    for row, origin in enumerate(order):
        turned.restore(row, settled(operator, draw).tensors(origin))
    nearest, (where, _) = with_settings(operator, rounding="nearest"), _rounded(operator, backend, draw)
    vary_(turned, nearest, scene=scene_of(draw.rows, actors=(1,)), seed=draw.seed, backend=where)
    straight = varied(nearest, draw, where)
    wanted = [contents(straight)[origin] for origin in order]
    with tried_on(where, draw):
        expect_same(contents(turned), wanted, "the row decides", counted=["individual"], layout=draw.layout)
