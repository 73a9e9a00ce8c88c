"""What an operator makes of numbers: finite, near the exact result, the same on every target, without looking at them."""

import dataclasses
import sys
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode

from evoweights.operators import GeneOperator, PairOperator, TensorOperator
from evoweights.seeds import Noise
from evoweights.testing.checks.instead import instead
from evoweights.testing.checks.watching import Watching
from evoweights.testing.comparing import bits, expect_same
from evoweights.testing.grounds import Draw, bound, outcome, settled, unguarded, varied, with_settings
from evoweights.testing.parents import fewest_rows
from evoweights.testing.populations import contents, flat_layout, inside, mean_z, mixed_layout, vary_
from evoweights.testing.rules import Level, always, condition, gene_operator, rule, tried_on
from evoweights_kernels import Call, Chance, Gene, Scalar, State, TileScalar, Uniform, apply_, ieee, noise
from evoweights_kernels.body import Argument
from evoweights_kernels.constants import TILE
from evoweights_kernels.scalars import to_float32
from evoweights_kernels.storage import round_to_bfloat16


@rule("G14", always, level=Level.EXACT)
def finite(operator: PairOperator, backend: str, draw: Draw) -> None:
    """G14: moderate genes stay finite; extreme ones never become NaN."""
    if draw.share == 0.0:
        assert bool(outcome(operator, draw, backend).row(1).isfinite().all()), "infinity from moderate genes"
    else:
        made = unguarded(operator, settled(operator, draw), draw, backend)
        assert not made.isnan().any(), "NaN from finite genes"


@condition("gene kernels, or gene_wise")
def _by_gene(operator: PairOperator) -> str:
    return "" if isinstance(operator, GeneOperator) or operator.traits.gene_wise else "does not claim gene_wise"


@rule("G15", _by_gene, most=20, on=instead((4097,), share=0.0, rows=fewest_rows))
def contained(operator: PairOperator, backend: str, draw: Draw) -> None:
    """G15: a NaN in either parent is seen in that gene alone; what is measured of a whole tensor stays finite."""
    where = torch.zeros(draw.layout.size, dtype=torch.bool)
    where[draw.seed % 89 : 4097 : 89] = True
    clean = unguarded(operator, settled(operator, draw), draw, backend)
    for sick in (0, 1):
        ill = settled(operator, draw)
        ill.row(sick)[where] = float("nan")
        measures = isinstance(operator, GeneOperator) and operator.tile_scalars(ill.layout, ill.row(1))
        made = unguarded(operator, ill, draw, backend)
        if sick == 1 and measures:
            assert bool(made[~where].isfinite().all()), "a NaN spread to other genes"
        else:
            others = torch.where(where, clean, made)
            expect_same(bits(others), bits(clean), "a NaN changed other genes", layout=draw.layout)


@rule("G17", gene_operator, most=20, level=Level.ROUNDING, on=instead(dtype=torch.float32, share=0.0))
def exact(operator: GeneOperator, backend: str, draw: Draw) -> None:
    """G17: float32 results are those of float64 to a few ulp of what they are made of."""
    population = settled(operator, draw)
    call = bound(operator, population, draw, own=True)
    expected, size = _in_float64(call, draw)
    apply_([call], seed=draw.seed, live=draw.layout.live(draw.layout.segments), backend=backend)
    genes = inside(draw.layout, draw.layout.segments)
    for name, wanted in zip(call.kernel.written, expected, strict=True):
        off = (call.tensors[name].double() - wanted).abs() - 8 * torch.finfo(torch.float32).eps * (size + wanted.abs())
        assert bool((off[genes] <= 0).all()), (
            f"{name} is off the exact result by {float(off[genes].max()):.3g} too much"
        )


def _in_float64(call: Call, draw: Draw) -> tuple[tuple[Tensor, ...], Tensor]:
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
            value = _drawn(call, argument, draw)
        arguments.append(value)
    returned = call.kernel.function(*arguments)
    return returned if isinstance(returned, tuple) else (returned,), size * factor


def _drawn(call: Call, argument: Argument, draw: Draw) -> Tensor:
    """The numbers of one noise argument, in float64; of a chance, the conditions."""
    stream, count, width = call.streams[argument.name], draw.layout.size, argument.bits
    if argument.role is Chance:
        return noise.chances(draw.seed, stream, count, probability=call.scalars[argument.name], bits=width)
    drawn = noise.uniforms if argument.role is Uniform else noise.normals
    return drawn(draw.seed, stream, count, bits=width).double()


@rule(
    "G17-rounding",
    gene_operator,
    most=3,
    level=Level.ROUNDING,
    on=instead((8192,), dtype=torch.bfloat16, share=0.0),
)
def rounded(operator: GeneOperator, backend: str, draw: Draw) -> None:
    """G17: bfloat16 is float32 rounded at the end, to nearest or, without bias, to one of the two neighbours."""
    narrow, wide = settled(operator, draw), settled(operator, dataclasses.replace(draw, layout=flat_layout(8192)))
    for row in range(draw.rows):
        for name in ("weights", *(slot.name for slot in operator.slots)):
            wide.row(row, name).copy_(narrow.row(row, name))
    vary_(wide, operator, seed=draw.seed, backend=backend)
    # A kernel that rounds to nearest would be compiled for this alone; that the reference has its bits is the kernels' to show.
    nearest = varied(with_settings(operator, rounding="nearest"), draw, "reference")
    stochastic = varied(with_settings(operator, rounding="stochastic"), draw, backend)
    truth = wide.row(1)
    expect_same(
        bits(nearest.row(1)),
        bits(round_to_bfloat16(truth, None)),
        "bfloat16 is not float32 rounded to nearest",
        layout=draw.layout,
    )
    low = (truth.view(torch.int32) & -65536).view(torch.float32)
    high = ((truth.view(torch.int32) & -65536) + 65536).view(torch.float32)  # away from zero
    made = stochastic.row(1).float()
    assert bool(((made == low) | ((made == high) & (truth != low))).all()), "bfloat16 is none of the two neighbours"
    inexact = (truth != low) & (truth.abs() > 1e-30)
    if int(inexact.sum()) > 1000:
        off = ((made - truth) / (high - low).abs())[inexact]
        # Whoever cuts digits off rounds half of the genes up and half down: that is seen by their signs.
        biases = [mean_z(each, 0.0) for each in (off, off * truth[inexact].sign())]
        assert max(map(abs, biases)) < 5, f"rounding is biased: by {biases} standard errors, upwards and away from 0"


@rule("G18", gene_operator, most=5)
def targets(operator: GeneOperator, backend: str, draw: Draw) -> None:
    """G18: a compiled kernel makes the bits that its body makes of torch tensors."""
    found, wanted = outcome(operator, draw, backend), varied(operator, draw, "reference")
    said = f"{backend} makes other bits than the reference"
    expect_same(contents(found), contents(wanted), said, counted=["individual"], layout=draw.layout)


class WaitingForbidden(Watching):
    """Raises where a value is looked at, which on an accelerator waits for all the work before it."""

    BANNED = ("_local_scalar_dense", "nonzero", "masked_select", "item", "is_nonzero", "unique", "equal")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().removeprefix("aten::").partition(".")[0]
        assert name not in self.BANNED, f"{func.name()} waits for the device"
        is_mask = name in ("index", "index_put_", "index_put") and any(
            isinstance(each, Tensor) and each.dtype == torch.bool for each in args[1]
        )
        assert not is_mask, f"{func.name()} by a condition waits for the device"
        return func(*args, **(kwargs or {}))


class FetchingForbidden(TorchFunctionMode):
    """Raises where tensors are taken to the host, of which the operations of torch that run on the host know nothing."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        # By way of NumPy the reference takes square roots; compiled kernels do not.
        is_root = sys._getframe(1).f_globals.get("__name__") == ieee.__name__
        assert is_root or name not in ("numpy", "tolist", "__array__", "cpu"), f"{name}() waits for the device"
        return func(*args, **(kwargs or {}))


@rule("G19", always, most=1, level=Level.EXACT)
def waiting(operator: PairOperator, backend: str, draw: Draw) -> None:
    """G19: nothing looks at a number of the population on the way, and no shape depends on one."""
    dtype = draw.layout.dtype
    if isinstance(operator, GeneOperator) and backend != "reference":  # the reference works on the host by definition
        there = dataclasses.replace(draw, layout=flat_layout(4 * TILE, dtype))
        population = settled(operator, there)
        with tried_on(backend, there), WaitingForbidden():
            apply_([bound(operator, population, there)], seed=draw.seed, backend=backend)
    if isinstance(operator, GeneOperator):
        layout = mixed_layout(dtype)
        kinds = [torch.bool if each.role is Chance else torch.float32 for each in operator.kernel.arguments]
        there = dataclasses.replace(draw, layout=layout)
        with tried_on("its body in torch", there), WaitingForbidden(), FetchingForbidden():
            operator.tile_scalars(layout, torch.zeros(layout.size, dtype=dtype))
            operator.kernel.function(*(torch.zeros(TILE, dtype=kind) for kind in kinds))
    elif isinstance(operator, TensorOperator):
        with FakeTensorMode(), WaitingForbidden():
            target, source = (torch.empty(draw.layout.size, dtype=dtype) for _ in range(2))
            named = [{each.name: each.view(genes) for each in draw.layout.segments} for genes in (target, source)]
            operator.rewrite(named[0], named[1], Noise(draw.seed))
