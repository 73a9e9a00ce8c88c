"""What an operator must leave as it is: forms, inputs, the memory of others, everything out of scope."""

import itertools

import torch

from evoweights.genome import Layout
from evoweights.operators import GeneOperator, PairOperator, Scene
from evoweights.population import Population
from evoweights.testing.comparing import expect_same
from evoweights.testing.grounds import Draw, bound, outcome, settled, varied, with_settings
from evoweights.testing.parents import fewest_rows
from evoweights.testing.populations import bits, contents, flat_layout, inside, scene_of, vary_
from evoweights.testing.rules import Level, always, rule, tried_on
from evoweights.testing.strategies import segments_of
from evoweights_kernels import apply_


def _seen(population: Population) -> dict[str, dict[str, object]]:
    """The form of every tensor by individual and name, in the order in which they are there."""
    return {
        f"individual {row}, {name}": {
            "shape": each.shape,
            "dtype": each.dtype,
            "device": each.device,
            "stride": each.stride(),
            "class": type(each),
            "requires_grad": each.requires_grad,
            "grad_fn": each.grad_fn,
        }
        for row in range(population.size)
        for name, each in population.tensors(row).items()
    }


def _expect_form(population: Population, before: dict[str, dict[str, object]]) -> None:
    after = _seen(population)
    expect_same([*after], [*before], "tensors have other names or another order", counted=["tensor"])
    expect_same(after, before, "the form of a tensor changed", counted=["dimension"])


@rule("G01", always, level=Level.EXACT)
def form(operator: PairOperator, backend: str, draw: Draw) -> None:
    """G01: names, order, shapes, types, device and place in memory stay; the results are plain tensors without a graph."""
    population = settled(operator, draw)
    places = [population.row(row).data_ptr() for row in range(population.size)]
    before = _seen(population)
    vary_(population, operator, seed=draw.seed, backend=backend)
    _expect_form(population, before)
    assert [population.row(row).data_ptr() for row in range(population.size)] == places, "the weights moved in memory"


def _read(operator: PairOperator, scene: Scene, population: Population) -> dict[str, str]:
    return {"operator": repr(operator), "scene": repr(scene), "layout": population.layout.fingerprint}


@rule("G02", always)
def inputs(operator: PairOperator, backend: str, draw: Draw) -> None:
    """G02: the source keeps its bytes and its version, and so does everything else that is only read."""
    population, scene = settled(operator, draw), scene_of(draw.rows)
    was, before = _read(operator, scene, population), contents(population)[0]
    vary_(population, operator, scene=scene, seed=draw.seed, backend=backend)
    expect_same(_read(operator, scene, population), was, "the operator itself, the scene or the layout changed")
    expect_same(contents(population)[0], before, "the source changed", layout=draw.layout)
    if not isinstance(operator, GeneOperator):
        return
    call = bound(operator, settled(operator, draw), draw, own=True)
    read = {name: each for name, each in call.tensors.items() if name not in call.kernel.written}
    bytes_before = {name: {"bytes": bits(each), "version": each._version} for name, each in read.items()}
    told = {"scalars": dict(call.scalars), "streams": dict(call.streams)}
    apply_([call], seed=draw.seed, live=draw.layout.live(draw.layout.segments), backend=backend)
    bytes_after = {name: {"bytes": bits(each), "version": each._version} for name, each in read.items()}
    expect_same(bytes_after, bytes_before, "what the kernel only reads changed", layout=draw.layout)
    now = {"scalars": dict(call.scalars), "streams": dict(call.streams)}
    expect_same(now, told, "scalars or streams changed")


@rule("G03", always, most=50)
def aliasing(operator: PairOperator, backend: str, draw: Draw) -> None:
    """G03: a child shares no memory with a parent: it stays as it is when they change."""
    population = varied(operator, draw, backend, optimizer_state="copy")
    spans = sorted(
        (
            each.untyped_storage().data_ptr() + each.storage_offset() * each.element_size(),
            each.numel() * each.element_size(),
        )
        for row in range(population.size)
        for each in population.tensors(row).values()
        if each.numel()
    )
    apart = all(first + length <= second for (first, length), (second, _) in itertools.pairwise(spans))
    assert apart, "two tensors share memory"
    before = contents(population)[1:]
    for each in population.tensors(0).values():
        each.zero_()
    population.individuals[0].counters.clear()
    expect_same(contents(population)[1:], before, "a child changed with its parent", counted=["child"])
    assert all(individual.counters for individual in population.individuals[1:]), "counters are shared"


@rule("G12", always, most=6, level=Level.EXACT)
def degenerate(operator: PairOperator, backend: str, draw: Draw) -> None:
    """G12: empty tensors, single numbers, five dimensions, lone genes beyond a tile and no tensor at all are served."""
    dtype = draw.layout.dtype
    shapes = [(), (0,), (0, 3), (3, 0), (1,), (1, 1, 1, 1, 1), (2, 1, 3, 1, 2)]
    each_alone = [flat_layout(2**16 + 1, dtype), Layout((), dtype)]
    for layout in (Layout(segments_of([("matrix", shape) for shape in shapes]), dtype), *each_alone):
        here = Draw(layout, draw.seed, 0.0, fewest_rows(operator))
        population = settled(operator, here)
        before = _seen(population)
        with tried_on(backend, here):
            vary_(population, operator, seed=draw.seed, backend=backend)
            _expect_form(population, before)
            assert bool(population.row(1).isfinite().all()), "NaN or infinity from ordinary genes"


@rule("G13", always, most=20)
def buffers(operator: PairOperator, backend: str, draw: Draw) -> None:
    """G13: whole numbers and conditions beside the weights keep their bytes and are never cast."""
    population = settled(operator, draw)
    before = [{n: bits(b) for n, b in each.items()} for each in population.buffers]
    vary_(population, operator, seed=draw.seed, backend=backend)
    after = [{n: bits(b) for n, b in each.items()} for each in population.buffers]
    for row, (now, was) in enumerate(zip(after, before, strict=True)):
        assert {n: b.dtype for n, b in now.items()} == {n: b.dtype for n, b in was.items()}, (
            f"a buffer of individual {row} was cast"
        )
    expect_same(after, before, "a buffer changed", counted=["individual"])


@rule("G16", always)
def outside(operator: PairOperator, backend: str, draw: Draw) -> None:
    """G16: padding, frozen tensors, optimizer state and the state of others keep every byte."""
    before, after = settled(operator, draw), outcome(operator, draw, backend)
    mask = ~inside(draw.layout, draw.layout.scope("all"))
    own = [slot.name for slot in operator.slots if slot.role == "state"]
    for name, tensor in after.tensors(1).items():
        was = before.tensors(1)[name]
        if name == "weights" or name in own:
            now = torch.where(mask, tensor, was)
            expect_same(bits(now), bits(was), f"{name} changed outside the tensors in scope", layout=draw.layout)
        else:
            expect_same(
                bits(tensor), bits(was), f"{name}, which is not the operator's to write, changed", layout=draw.layout
            )


@rule("X10", always, most=10)
def elsewhere(operator: PairOperator, backend: str, draw: Draw) -> None:
    """X10: with one tensor in scope, all others keep every byte, and so does what is remembered of them."""
    live = [each for each in draw.layout.segments if each.role != "frozen"]
    if not live:
        return
    chosen = live[draw.seed % len(live)]
    before, after = settled(operator, draw), varied(with_settings(operator, scope=chosen.name), draw, backend)
    for name in ("weights", *(slot.name for slot in operator.slots)):
        for segment in draw.layout.segments:
            if segment is not chosen:
                now, was = (bits(segment.view(each.row(1, name))) for each in (after, before))
                expect_same(now, was, f"with {chosen.name} in scope, {name} of {segment.name} changed")
