"""What holds for every operator, whatever it does: one function a rule, which raises where the rule is broken.

Every check takes the operator, the backend and a draw. An operator is given a scope of ``all`` by the caller.
"""

import dataclasses
import itertools
import os
import random
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import safetensors.torch
import torch
from grounds import bound, genes, outcome, settled, varied
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from evoweights import variation
from evoweights.genome import Layout, Segment
from evoweights.operators import GeneOperator
from evoweights.seeds import Noise
from evoweights.storage.formats import from_json, tensor_chunks, to_json
from evoweights.variation import Named, vary
from evoweights_kernels import Call, Chance, Gene, Scalar, State, TileScalar, Uniform, apply_, noise
from evoweights_kernels.constants import TILE
from evoweights_kernels.scalars import to_float32
from evoweights_kernels.storage import round_to_bfloat16
from operators_under_test import is_random, with_settings
from populations import bits, contents, flat_layout, mean_z, mixed_layout, scene_of, vary_


def form(operator, backend, draw):
    """G01, G12, G13: names, order, shapes, dtypes, memory and device stay; whole numbers and conditions keep their bytes."""
    population = settled(operator, draw)

    def seen():
        return [
            (
                row,
                name,
                each.shape,
                each.dtype,
                each.device,
                each.stride(),
                type(each),
                each.requires_grad,
                each.grad_fn,
            )
            for row in range(population.size)
            for name, each in population.tensors(row).items()
        ]

    places = [population.row(row).data_ptr() for row in range(population.size)]
    before, buffers = seen(), [{n: bits(b) for n, b in each.items()} for each in population.buffers]
    vary_(population, operator, seed=draw.seed, backend=backend)
    assert seen() == before
    assert [population.row(row).data_ptr() for row in range(population.size)] == places
    assert [{n: bits(b) for n, b in each.items()} for each in population.buffers] == buffers
    assert all(each[6] is torch.Tensor and not each[7] and each[8] is None for each in seen())


def inputs(operator, backend, draw):
    """G02: the source keeps its bytes and its version; so does everything else that is only read."""
    population, scene = settled(operator, draw), scene_of(draw.rows)
    before = contents(population)[0], repr(operator), repr(scene), population.layout.fingerprint
    vary_(population, operator, scene=scene, seed=draw.seed, backend=backend)
    assert (contents(population)[0], repr(operator), repr(scene), population.layout.fingerprint) == before
    if isinstance(operator, GeneOperator):
        call = bound(operator, settled(operator, draw), draw, own=True)
        read = {name: each for name, each in call.tensors.items() if name not in call.kernel.written}
        bytes_before = {name: (bits(each), each._version) for name, each in read.items()}
        told = dict(call.scalars), dict(call.streams)
        apply_([call], seed=draw.seed, live=draw.layout.live(draw.layout.segments), backend=backend)
        assert {name: (bits(each), each._version) for name, each in read.items()} == bytes_before
        assert (dict(call.scalars), dict(call.streams)) == told


def aliasing(operator, backend, draw):
    """G03: what was made does not change with what it was made from."""
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
    assert all(first + length <= second for (first, length), (second, _) in itertools.pairwise(spans))
    before = contents(population)[1:]
    for each in population.tensors(0).values():
        each.zero_()
    population.individuals[0].counters.clear()
    assert contents(population)[1:] == before
    assert all(individual.counters for individual in population.individuals[1:])


def repeatable(operator, backend, draw):
    """G04, G05: the same seed gives the same bytes, whatever else was drawn before; another seed gives others."""
    once = contents(outcome(operator, draw, backend))
    torch.rand(3), np.random.rand(3), random.random()
    assert contents(varied(operator, draw, backend)) == once
    large = dataclasses.replace(draw, layout=flat_layout(2**13, draw.layout.dtype), share=0.0, rows=2)
    population, other = settled(operator, large), settled(operator, large)
    vary_(population, operator, seed=1, backend=backend)
    vary_(other, operator, seed=2, backend=backend)
    if is_random(operator):
        assert contents(population) != contents(other)
    elif draw.layout.dtype == torch.float32:
        assert contents(population) == contents(other)


def quiet(operator, backend, draw):
    """G06: nothing outside the population is drawn from or changed."""

    def world():
        return (
            bits(torch.random.get_rng_state()), str(np.random.get_state()), random.getstate(), torch.get_default_dtype(),
            torch.get_default_device(), torch.get_num_threads(), torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"),
            torch.are_deterministic_algorithms_enabled(), os.getcwd(), dict(os.environ), list(warnings.filters),
            np.geterr(), threading.active_count(),
        )  # fmt: skip

    outcome(operator, draw, backend)  # the first launch imports a compiler
    before = world()
    varied(operator, draw, backend)
    assert world() == before


def subset(operator, backend, draw):
    """G07, G16: restricted to one segment it does to that segment what it does to all, and nothing to the others."""
    layout = draw.layout
    whole, fresh = outcome(operator, draw, backend), settled(operator, draw)
    live = [each for each in layout.segments if each.role != "frozen" and each.count]
    for segment in live[:: max(1, len(live) - 1)]:  # the first and the last
        part = varied(with_settings(operator, scope=segment.name), draw, backend)
        expected = genes(layout, fresh.row(1)) | {segment.name: bits(segment.view(whole.row(1)))}
        assert genes(layout, part.row(1)) == expected


def outside(operator, backend, draw):
    """G16: padding, frozen segments, optimizer state and the state of others keep every byte."""
    before, after = settled(operator, draw), outcome(operator, draw, backend)
    mask = torch.ones(draw.layout.size, dtype=torch.bool)
    for segment in draw.layout.scope("all"):
        mask[segment.start : segment.start + segment.count] = False
    own = [slot.name for slot in operator.slots if slot.role == "state"]
    for name, tensor in after.tensors(1).items():
        was = before.tensors(1)[name]
        if name == "weights" or name in own:
            assert bits(tensor[mask]) == bits(was[mask])
        else:
            assert bits(tensor) == bits(was)


def shards(operator, backend, draw):
    """G08: a genome cut at any tiles gets the bits of the whole, each part told its place."""
    sizes = {17, 4097} if backend == "triton" else {1, 15, 16, 17, 4095, 4096, 4097, draw.layout.count}
    for size in sorted(sizes):
        layout = flat_layout(size, draw.layout.dtype)
        there = dataclasses.replace(draw, layout=layout)
        whole, parts = settled(operator, there), settled(operator, there)
        live = layout.live(layout.segments)
        apply_([bound(operator, whole, draw)], seed=draw.seed, live=live, backend=backend)
        call = bound(operator, parts, draw)
        for first in range(0, len(live), 1 + (draw.seed + 1) % 3):
            tiles = slice(first, first + 1 + (draw.seed + 1) % 3)
            here = slice(tiles.start * TILE, tiles.stop * TILE)
            tensors = {n: each[tiles if len(each) == len(live) else here] for n, each in call.tensors.items()}
            shard = Call(call.kernel, tensors, call.scalars, call.streams)
            apply_([shard], seed=draw.seed, live=live[tiles], first_tile=first, backend=backend)
        assert contents(whole) == contents(parts)


def names(operator, backend, draw):
    """G09, G10: other names change nothing; in another order, what draws no numbers does the same to each tensor."""
    layout = draw.layout
    renamed = [dataclasses.replace(each, name=f"renamed {i}") for i, each in enumerate(reversed(layout.segments))][::-1]
    one = outcome(operator, draw, backend)
    other = varied(operator, dataclasses.replace(draw, layout=Layout(tuple(renamed), layout.dtype)), backend)
    if isinstance(operator, GeneOperator) or not is_random(operator):
        assert list(genes(layout, one.row(1)).values()) == list(genes(other.layout, other.row(1)).values())
    if is_random(operator):
        return
    moved, start = [], 0
    for each in reversed(layout.segments):
        moved.append(Segment(each.name, each.shape, each.role, start))
        start += -(-each.count // TILE) * TILE
    turned = settled(operator, dataclasses.replace(draw, layout=Layout(tuple(moved), layout.dtype)))
    origin = settled(operator, draw)
    for row in range(draw.rows):
        for name in ("weights", *(slot.name for slot in operator.slots)):
            for segment in turned.layout.segments:
                old = next(each for each in layout.segments if each.name == segment.name)
                segment.view(turned.row(row, name)).copy_(old.view(origin.row(row, name)))
    vary_(turned, with_settings(operator, rounding="nearest"), seed=draw.seed, backend=backend)
    vary_(origin, with_settings(operator, rounding="nearest"), seed=draw.seed, backend=backend)
    assert genes(turned.layout, turned.row(1)) == genes(layout, origin.row(1))


def finite(operator, backend, draw):
    """G14: moderate genes stay finite; extreme ones never become NaN."""
    assert not outcome(operator, draw, backend).row(1).isnan().any()
    moderate = dataclasses.replace(draw, share=0.0)
    assert bool(outcome(operator, moderate, backend).row(1).isfinite().all())


def contained(operator, backend, draw):
    """G15: an ill gene of either parent is seen in that gene alone; what is measured of a tensor stays finite."""
    draw = dataclasses.replace(draw, share=0.0, layout=flat_layout(4097, draw.layout.dtype))
    where = torch.zeros(draw.layout.size, dtype=torch.bool)
    where[draw.seed % 89 : 4097 : 89] = True
    clean = outcome(operator, draw, backend)
    for sick in (0, 1):
        ill = settled(operator, draw)
        ill.row(sick)[where] = float("nan")
        measures = isinstance(operator, GeneOperator) and operator.tile_scalars(ill.layout, ill.row(1))
        vary_(ill, operator, seed=draw.seed, backend=backend)
        if sick == 1 and measures:
            assert bool(ill.row(1)[~where].isfinite().all())
        else:
            assert bits(ill.row(1)[~where]) == bits(clean.row(1)[~where])


def exact(operator, backend, draw):
    """G17: float32 results are those of float64 to a few ulp of what they are made of."""
    draw = dataclasses.replace(draw, share=0.0)
    population = settled(operator, draw)
    call = bound(operator, population, draw, own=True)
    expected, size = in_float64(call, draw)
    apply_([call], seed=draw.seed, live=draw.layout.live(draw.layout.segments), backend=backend)
    inside = torch.zeros(draw.layout.size, dtype=torch.bool)
    for segment in draw.layout.segments:
        inside[segment.start : segment.start + segment.count] = True
    for name, wanted in zip(call.kernel.written, expected, strict=True):
        off = (call.tensors[name].double() - wanted).abs() - 8 * torch.finfo(torch.float32).eps * (size + wanted.abs())
        assert bool((off[inside] <= 0).all()), (name, float(off[inside].max()))


def in_float64(call, draw):
    """What the call should write, and the sum of the magnitudes that go into it."""
    arguments, size, factor = [], torch.zeros(draw.layout.size, dtype=torch.float64), 1.0
    for argument in call.kernel.arguments:
        if argument.role in (Gene, State):
            value = call.tensors[argument.name].double()
            size += value.abs()
        elif argument.role is TileScalar:
            value = call.tensors[argument.name].double().repeat_interleave(TILE)
        elif argument.role is Scalar:
            value = torch.tensor(to_float32(call.scalars[argument.name]), dtype=torch.float64)
            factor += float(value.abs()) if value.abs() < 1e6 else 0.0
        else:
            value = drawn(call, argument, draw)
        arguments.append(value)
    returned = call.kernel.function(*arguments)
    return returned if isinstance(returned, tuple) else (returned,), size * factor


def drawn(call, argument, draw):
    """The numbers of one noise argument, in float64; of a chance, the conditions."""
    stream, count, bits_ = call.streams[argument.name], draw.layout.size, argument.bits
    if argument.role is Chance:
        return noise.chances(draw.seed, stream, count, probability=call.scalars[argument.name], bits=bits_)
    return (noise.uniforms if argument.role is Uniform else noise.normals)(
        draw.seed, stream, count, bits=bits_
    ).double()


def rounded(operator, backend, draw):
    """G17, M08: bfloat16 is float32 rounded at the end, to nearest or, without bias, to one of the two neighbours."""
    draw = dataclasses.replace(draw, share=0.0, layout=flat_layout(8192, torch.bfloat16))
    narrow, wide = settled(operator, draw), settled(operator, dataclasses.replace(draw, layout=flat_layout(8192)))
    for row in range(draw.rows):
        for name in ("weights", *(slot.name for slot in operator.slots)):
            wide.row(row, name).copy_(narrow.row(row, name))
    vary_(wide, operator, seed=draw.seed, backend=backend)
    nearest, stochastic = (
        varied(with_settings(operator, rounding="nearest"), draw, backend),
        varied(operator, draw, backend),
    )
    truth = wide.row(1)
    assert bits(nearest.row(1)) == bits(round_to_bfloat16(truth, None))
    low = (truth.view(torch.int32) & -65536).view(torch.float32)
    high = ((truth.view(torch.int32) & -65536) + 65536).view(torch.float32)  # away from zero
    made = stochastic.row(1).float()
    assert bool(((made == low) | ((made == high) & (truth != low))).all())
    inexact = (truth != low) & (truth.abs() > 1e-30)
    if int(inexact.sum()) > 1000:
        assert abs(mean_z(((made - truth) / (high - low).abs())[inexact], 0.0)) < 5


class WaitingForbidden(TorchDispatchMode):
    """Raises where a value is looked at, which on an accelerator waits for all the work before it."""

    BANNED = ("_local_scalar_dense", "nonzero", "masked_select", "item", "is_nonzero", "unique", "equal")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name().removeprefix("aten::").partition(".")[0]
        assert name not in self.BANNED, f"{func.name()} waits for the device"
        is_mask = name in ("index", "index_put_", "index_put") and any(
            isinstance(each, torch.Tensor) and each.dtype == torch.bool for each in args[1]
        )
        assert not is_mask, f"{func.name()} by a condition waits for the device"
        return func(*args, **(kwargs or {}))


def waiting(operator, backend, draw):
    """G19: nothing looks at a number of the population on the way, and no shape depends on one.

    A gene operator's whole phase runs under a spy. The live table is left out, which the kernels check where it lies on the
    CPU: all genes take part. Then the operator's own torch code runs under the spy on tensors without values.
    """
    draw = dataclasses.replace(draw, layout=flat_layout(4 * TILE, draw.layout.dtype))
    population, launch, layout = settled(operator, draw), variation.apply_, mixed_layout(draw.layout.dtype)

    def without_table(calls, *, seed, live, backend):
        del live
        return launch(calls, seed=seed, backend=backend)

    if isinstance(operator, GeneOperator):
        variation.apply_ = without_table
        try:
            with WaitingForbidden():
                vary_(population, operator, seed=draw.seed, backend=backend)
        finally:
            variation.apply_ = launch
    with FakeTensorMode(), WaitingForbidden():
        target, source = (torch.empty(layout.size, dtype=layout.dtype) for _ in range(2))
        if isinstance(operator, GeneOperator):
            operator.tile_scalars(layout, target)
            kinds = [torch.bool if each.role is Chance else torch.float32 for each in operator.kernel.arguments]
            operator.kernel.function(*(torch.empty(TILE, dtype=kind) for kind in kinds))
        else:
            named = [{each.name: each.view(genes_) for each in layout.segments} for genes_ in (target, source)]
            operator.rewrite(*named, Noise(draw.seed))


def remembered(operator, backend, draw):
    """G21: settings through JSON, state through safetensors: the next result is the one that would have been."""
    again = type(operator)(**from_json(to_json(dataclasses.asdict(operator))))
    assert again == operator
    assert repr(again) == repr(operator)
    one = varied(operator, draw, backend)
    other = settled(operator, dataclasses.replace(draw, seed=draw.seed ^ 1))
    for row in range(draw.rows):
        saved = safetensors.torch.load(b"".join(bytes(each) for each in tensor_chunks(one.tensors(row))))
        other.restore(row, saved)
    other.load_state(from_json(to_json(one.state())))
    assert contents(other) == contents(one)
    vary_(one, operator, seed=draw.seed, backend=backend, generation=4)
    vary_(other, again, seed=draw.seed, backend=backend, generation=4)
    assert contents(other) == contents(one)
    assert to_json(other.state()) == to_json(one.state())


def threads(operator, backend, draw):
    """G23: one instance used by several threads on populations of their own does to each what it does alone."""
    each = [dataclasses.replace(draw, seed=draw.seed ^ number) for number in range(4)]
    alone = [contents(varied(operator, one, backend)) for one in each]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda one: contents(varied(operator, one, backend)), each)) == alone


def neutral(operator, backend, draw, *, identities):
    """G24: an operator that changes nothing, before or after, changes nothing, fused or not."""
    draw = dataclasses.replace(draw, share=0.0)

    def made(*entries):
        population, noise_ = settled(operator, draw), Noise(draw.seed)
        scene = scene_of(draw.rows)
        vary(population, entries, scene, generation=3, noise=noise_, backend=backend, optimizer_state="keep")
        return contents(population)

    by_itself = made(Named("operator", operator))
    for identity in identities:
        assert made(Named("identity", identity), Named("operator", operator)) == by_itself
        assert made(Named("operator", operator), Named("identity", identity)) == by_itself


def alone(operator, backend, draw):
    """G25: what becomes of an individual depends on itself, its row and its source alone."""
    usual = outcome(operator, draw, backend)
    crowd = settled(operator, dataclasses.replace(draw, seed=draw.seed ^ 5, rows=draw.rows + 1))
    for row in (0, 1):
        crowd.restore(row, settled(operator, draw).tensors(row))
    vary_(crowd, operator, seed=draw.seed, backend=backend)
    assert contents(crowd)[1] == contents(usual)[1]
    if is_random(operator):
        return
    turned = settled(operator, draw)
    order = (draw.rows - 1, *range(draw.rows - 1))
    for row, origin in enumerate(order):
        turned.restore(row, settled(operator, draw).tensors(origin))
    nearest = with_settings(operator, rounding="nearest")
    vary_(turned, nearest, scene=scene_of(draw.rows, actors=(1,)), seed=draw.seed, backend=backend)
    straight = varied(nearest, draw, backend)
    assert contents(turned) == [contents(straight)[origin] for origin in order]
