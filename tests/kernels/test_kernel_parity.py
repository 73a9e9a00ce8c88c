"""Every target computes what the reference computes, bit for bit."""

import pytest
import torch
from kernel_cases import BODIES, GENERATED, SEED, SIZES, apply_to_copies, assert_same, generator, sample_call

from evoweights_kernels import (
    Chance,
    Gene,
    Normal,
    Scalar,
    State,
    TileScalar,
    Uniform,
    absolute,
    bodies,
    gene_kernel,
    live_table,
    maximum,
    minimum,
    sqrt,
    stream_id,
    where,
)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@gene_kernel
def everything(
    x: Gene, other: Gene, s: State, sigma: Scalar, scale: TileScalar, u: Uniform, v: Uniform[8], z: Normal, c: Chance[8]
) -> tuple[Gene, State]:
    """Every operation, every role, two widths of noise, literals on either side, conditions on scalars alone."""
    steep = (x >= other) | ~(s <= u) & (c | (sigma != 0.5))
    flat = (sigma == 0.1) & (scale > 0.25)
    ratio = 3.0 / (absolute(-x) + 1e-3) - other / 7.0
    s = where(flat, sqrt(absolute(s)), -s * scale)
    x = where(steep, minimum(ratio, 1e30), maximum(z * sigma, v - 0.25))
    return where(x == 0.0, -0.0, x), s


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*BODIES, "everything"])
def test_bodies_give_the_reference_bits_on_every_target_at_every_size(name, dtype):
    rng = generator()
    kernel = BODIES.get(name, everything)
    for count in SIZES:
        calls = [sample_call(kernel, count, dtype=DTYPES[dtype], rng=rng)]
        expected = apply_to_copies(calls, seed=SEED, backend="reference", first_tile=(1 << 26) + 3)
        for target in GENERATED:
            found = apply_to_copies(calls, seed=SEED, backend=target, first_tile=(1 << 26) + 3)
            assert_same(found, expected, (target, count))


@pytest.mark.parametrize("target", GENERATED)
@pytest.mark.parametrize("name", ("adamw", "gaussian_mutation", "pso_towards_16"))
def test_stochastic_rounding_gives_the_reference_bits(name, target):
    rng = generator(1)
    for count in (3, 1025, 4097):
        calls = [sample_call(BODIES[name], count, dtype=torch.bfloat16, rng=rng, rounding=True)]
        expected = apply_to_copies(calls, seed=SEED, backend="reference")
        assert_same(apply_to_copies(calls, seed=SEED, backend=target), expected, count)


@pytest.mark.parametrize("name", ("pso", "gaussian_mutation"))
def test_a_million_genes_on_several_threads_give_the_reference_bits(name):
    calls = [sample_call(BODIES[name], (1 << 20) + 5, rng=generator(2))]
    expected = apply_to_copies(calls, seed=SEED, backend="reference")
    assert_same(apply_to_copies(calls, seed=SEED, backend="cpu"), expected)


def test_targets_mix_storage_types_in_one_call():
    rng = generator(3)
    call = sample_call(bodies.pso, 2500, rng=rng)
    tensors = {n: t.bfloat16() if n in ("leader", "velocity") else t for n, t in call.tensors.items()}
    calls = [type(call)(call.kernel, tensors, call.scalars, call.streams)]
    expected = apply_to_copies(calls, seed=SEED, backend="reference")
    for target in GENERATED:
        assert_same(apply_to_copies(calls, seed=SEED, backend=target), expected, target)


@pytest.mark.parametrize("target", ("reference", *GENERATED))
def test_live_tables_with_holes_leave_the_other_genes_untouched(target):
    live = live_table(5 * 1024 + 17)
    live[1], live[2], live[3] = 0, 1, 1000
    calls = [sample_call(BODIES["gaussian_mutation"], 5 * 1024 + 17, rng=generator(4))]
    everywhere = apply_to_copies(calls, seed=SEED, backend="reference")
    found = apply_to_copies(calls, seed=SEED, backend=target, live=live)
    takes_part = (torch.arange(1024) < live[:, None]).flatten()[: 5 * 1024 + 17]
    expected = [sample_call(BODIES["gaussian_mutation"], 5 * 1024 + 17, rng=generator(4))]
    expected[0].target.copy_(torch.where(takes_part, everywhere[0].target, calls[0].target))
    assert_same(found, expected)


@pytest.mark.parametrize("target", ("reference", *GENERATED))
def test_bfloat16_rounds_to_nearest_even_and_keeps_nan_a_nan(target):
    patterns = torch.tensor([0x3F808000, 0x3F818000, 0x3F808001, 0x7F7FFFFF, 0x7FFFFFFF, 0x7F800001], dtype=torch.int32)
    x = torch.zeros(6, dtype=torch.bfloat16)
    calls = [sample_call(bodies.mix, 6, rng=generator(), shared={"x": x, "leader": patterns.view(torch.float32)})]
    calls = [type(c)(c.kernel, c.tensors, {"weight": 1.0}, c.streams) for c in calls]
    apply_to = apply_to_copies(calls, seed=1, backend=target)
    bits = apply_to[0].target.view(torch.int16).tolist()
    assert bits == [0x3F80, 0x3F82, 0x3F81, 0x7F80, 0x7FC0, 0x7FC0]


def test_stochastic_rounding_is_unbiased_and_lands_on_a_neighbour():
    exact = torch.full((200_000,), 1.0 + 0.3 / 128)
    calls = [sample_call(bodies.mix, 200_000, rng=generator(), rounding=False)]
    x = torch.zeros(200_000, dtype=torch.bfloat16)
    calls = [type(calls[0])(bodies.mix, {"x": x, "leader": exact}, {"weight": 1.0}, {"rounding": stream_id("r")})]
    apply_to = apply_to_copies(calls, seed=5, backend="auto")[0].target.double()
    assert set(apply_to.unique().tolist()) == {1.0, 1.0 + 1 / 128}
    share = float((apply_to > 1.0).double().mean())
    assert abs(share - 0.3) < 5 * (0.3 * 0.7 / 200_000) ** 0.5
