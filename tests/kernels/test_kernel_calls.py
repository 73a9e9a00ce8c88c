"""What a call needs, and what is said when it does not get it."""

import pytest
import torch
from kernel_cases import call

from evoweights_kernels import Call, KernelError, apply_, bodies

N = 2000


def pso_call(**changes):
    names = ("x", "personal_best", "leader", "velocity")
    tensors = {name: torch.zeros(N) for name in names} | changes.pop("tensors", {})
    scalars = {"inertia": 1.0, "cognitive": 1.0, "social": 1.0, "max_velocity": 1.0} | changes.pop("scalars", {})
    streams = {"r1": 1, "r2": 2} | changes.pop("streams", {})
    return Call(bodies.pso, tensors, scalars, streams)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"tensors": {"elite": torch.zeros(N)}},
            r"call of 'pso': tensors: unknown \['elite'\]; it takes exactly \['x', 'perso",
        ),
        ({"scalars": {"sigma": 1.0}}, r"scalars: unknown \['sigma'\]; it takes exactly \['inertia', 'cognitive'"),
        ({"streams": {"r3": 1}}, r"streams: unknown \['r3'\]; it takes exactly \['r1', 'r2'\]"),
        ({"tensors": {"leader": torch.zeros(N + 1)}}, "'leader' has 2001 elements; needed are 2000, the target's"),
        ({"tensors": {"leader": torch.zeros(N).double()}}, "'leader' is torch.float64; allowed are torch.float32"),
        ({"tensors": {"leader": torch.zeros(2 * N)[::2]}}, r"'leader' must be a flat contiguous.*stride \(2,\)"),
        ({"tensors": {"leader": torch.zeros(2, N // 2)}}, r"'leader' must be a flat.*shape \(2, 1000\)"),
        ({"tensors": {"leader": [0.0] * N}}, "'leader' must be a flat contiguous tensor, found list"),
        ({"tensors": {"leader": torch.zeros(N, device="meta")}}, "'leader' lies on meta, the target on cpu"),
        ({"scalars": {"inertia": float("nan")}}, "scalar 'inertia' must be a number, found nan"),
        ({"scalars": {"inertia": "much"}}, "scalar 'inertia' must be a number, found 'much'"),
        ({"streams": {"r1": 0.5}}, "stream 'r1' must be an integer"),
    ],
)
def test_unfit_calls_are_refused_naming_the_argument(changes, says):
    with pytest.raises(KernelError, match=says):
        pso_call(**changes)


def test_missing_arguments_are_named():
    with pytest.raises(KernelError, match=r"tensors: missing \['other'\]"):
        Call(bodies.uniform_crossover, {"x": torch.zeros(3)}, {"take": 0.5}, {"take": 1})
    with pytest.raises(KernelError, match=r"scalars: missing \['take'\]"):
        Call(bodies.uniform_crossover, {"x": torch.zeros(3), "other": torch.zeros(3)}, {}, {"take": 1})
    with pytest.raises(KernelError, match=r"streams: missing \['take'\]"):
        Call(bodies.uniform_crossover, {"x": torch.zeros(3), "other": torch.zeros(3)}, {"take": 0.5}, {})


@pytest.mark.parametrize("probability", (-0.1, 1.1))
def test_probabilities_lie_between_0_and_1(probability):
    with pytest.raises(KernelError, match=r"'take': a probability must lie within \[0, 1\]"):
        call(bodies.uniform_crossover, {"x": torch.zeros(3), "other": torch.zeros(3)}, {"take": probability})


def test_a_tile_table_has_one_value_per_tile():
    with pytest.raises(KernelError, match="'scale' has 1 elements; needed are 2, one value per tile of 1024"):
        call(
            bodies.gaussian_mutation,
            {"x": torch.zeros(N), "scale": torch.ones(1)},
            {"sigma": 1.0, "touched": 0.5},
        )


def crossover(x, other):
    return call(bodies.uniform_crossover, {"x": x, "other": other}, {"take": 0.5})


def test_launches_that_do_not_fit_together_are_refused():
    buffer = torch.zeros(2 * N)
    with pytest.raises(KernelError, match="at least one call, found none"):
        apply_([], seed=1)
    with pytest.raises(KernelError, match=r"one length and device.* has 2000 on cpu.* has 3 on cpu"):
        apply_([crossover(torch.zeros(N), torch.ones(N)), crossover(torch.zeros(3), torch.ones(3))], seed=1)
    with pytest.raises(KernelError, match=r"'x' of 'uniform_crossover' and 'other' of .* overlap in memory"):
        apply_([crossover(buffer[:N], buffer[10 : N + 10])], seed=1)
    with pytest.raises(KernelError, match="are written and must be distinct tensors"):
        x = torch.zeros(N)
        apply_([pso_call(tensors={"x": x, "velocity": x})], seed=1)
    with pytest.raises(KernelError, match=r"first_tile must lie within \[0, 2\^53\), found -1"):
        apply_([crossover(buffer[:N], buffer[N:])], seed=1, first_tile=-1)
    assert not buffer.any()


@pytest.mark.parametrize(
    ("live", "says"),
    [
        (torch.full((2,), 1024), r"contiguous int32 tensor \[2\], found torch.int64"),
        (torch.full((3,), 1024, dtype=torch.int32), r"int32 tensor \[2\], found torch.int32 \[3\]"),
        (torch.tensor([1024, 1025], dtype=torch.int32), r"live holds counts within \[0, 1024\], found 1024 to 1025"),
        (torch.tensor([-1, 5], dtype=torch.int32), r"within \[0, 1024\], found -1 to 5"),
        (torch.ones(2, dtype=torch.int32, device="meta"), "live lies on meta, the tensors on cpu"),
    ],
)
def test_unfit_live_tables_are_refused(live, says):
    with pytest.raises(KernelError, match=says):
        apply_([crossover(torch.zeros(N), torch.ones(N))], seed=1, live=live)


def test_the_same_widths_give_the_same_kernel_so_that_nothing_is_compiled_twice():
    made = [bodies.pso_towards.with_bits({"z": 16}, name="narrow") for _ in range(2)]
    assert made[0] is made[1]
