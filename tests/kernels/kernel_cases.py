"""Inputs and comparisons shared by the tests of the kernels."""

import torch
from torch import Tensor

from evoweights_kernels import (
    TILE,
    Call,
    Chance,
    Gene,
    Scalar,
    State,
    TileScalar,
    adamw_scalars,
    apply_,
    bodies,
    stream_id,
)

SEED = 0x0123456789ABCDEF
TARGETS = ("reference", "cpu", "triton")
GENERATED = ("cpu", "triton")
SIZES = (0, 1, 3, 63, 1000, 1023, 1024, 1025, 4097)
BODIES = {name: getattr(bodies, name) for name in bodies.__all__}
LARGEST = torch.finfo(torch.float32).max
FINITE_EXTREMES = (0.0, -0.0, 1e-45, -1e-45, 1.1754944e-38, 1.1920929e-7, LARGEST, -LARGEST, 1.0, -1.0)
EXTREMES = (*FINITE_EXTREMES, float("inf"), float("-inf"), float("nan"))
SCALARS = {
    "inertia": 0.7,
    "cognitive": 1.4,
    "social": 1.5,
    "max_velocity": 2.0,
    "weight": 0.3,
    "sigma": 0.1,
    "take": 0.6,
    "touched": 0.3,
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def values(count, *, rng, extremes=EXTREMES):
    """Normals, a third of them replaced by extremes."""
    plain = torch.randn(count, generator=rng)
    picked = torch.tensor(extremes)[torch.randint(len(extremes), (count,), generator=rng)]
    return torch.where(torch.rand(count, generator=rng) < 0.3, picked, plain)


def pairs(extremes=FINITE_EXTREMES):
    """Every ordered pair of the extremes, as two tensors."""
    grid = torch.tensor([(a, b) for a in extremes for b in extremes])
    return grid[:, 0].contiguous(), grid[:, 1].contiguous()


def call(kernel, tensors, scalars=None, streams=None, *, path="test"):
    """A call whose missing streams are named after their arguments."""
    named = {a.name: stream_id(f"{path}/{a.name}") for a in kernel.arguments if a.is_noise}
    return Call(kernel, tensors, scalars or {}, named | (streams or {}))


def sample_call(kernel, count, *, dtype=torch.float32, rng, rounding=False, shared=None):
    """A call with random tensors; `shared` tensors are used for arguments of their names."""
    tensors, scalars = dict(shared or {}), {}
    for argument in kernel.arguments:
        if argument.role in (Gene, State) and argument.name not in tensors:
            tensors[argument.name] = values(count, rng=rng).to(dtype)
        elif argument.role is TileScalar:
            tensors[argument.name] = torch.rand(-(-count // TILE), generator=rng)
        elif argument.role in (Scalar, Chance):
            scalars[argument.name] = SCALARS.get(argument.name, 0.5)
    if kernel.name == "adamw":
        scalars = adamw_scalars(1e-3, 0.1, 0.9, 0.95, 1e-8, step=3)
    names = [a.name for a in kernel.arguments]
    tensors = {name: tensor for name, tensor in tensors.items() if name in names}
    return call(kernel, tensors, scalars, {"rounding": stream_id("rounding")} if rounding else None, path=kernel.name)


def copies(calls):
    """The calls on copies of their tensors; tensors shared between calls stay shared."""
    made = {}

    def copy(tensor):
        return made.setdefault(tensor.data_ptr() or id(tensor), tensor.clone())

    return [Call(c.kernel, {n: copy(t) for n, t in c.tensors.items()}, c.scalars, c.streams) for c in calls]


def apply_to_copies(calls, **options):
    """The calls on copies of their tensors, applied."""
    made = copies(calls)
    apply_(made, **options)
    return made


def written(calls):
    """Name and tensor of everything the calls write."""
    return [(f"{c.kernel.name}.{name}", c.tensors[name]) for c in calls for name in c.kernel.written]


def same_bytes(a: Tensor, b: Tensor) -> bool:
    """Equal bytes; NaN equals NaN whatever its payload."""
    integers = {2: torch.int16, 4: torch.int32}[a.element_size()]
    return a.dtype == b.dtype and bool(((a.view(integers) == b.view(integers)) | (a.isnan() & b.isnan())).all())


def assert_same(calls, expected, what=""):
    for (name, found), (_, wanted) in zip(written(calls), written(expected), strict=True):
        differs = [] if same_bytes(found, wanted) else (found != wanted).nonzero().flatten().tolist()[:5]
        assert same_bytes(found, wanted), (what, name, differs, found[differs], wanted[differs])
