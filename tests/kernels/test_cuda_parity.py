"""The text of the CUDA kernels, run on the host thread by thread, computes what the reference computes, bit for bit."""

from itertools import combinations_with_replacement

import pytest
import torch
from cuda_on_host import needs_compiler, run_as_the_end_of_a_long_tensor, run_on_host
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import (
    BODIES,
    SEED,
    apply_to_copies,
    assert_same,
    call,
    copies,
    generator,
    pairs,
    same_bytes,
    sample_call,
    values,
)
from test_kernel_bodies import TREES, grow
from test_kernel_golden_values import GOLDEN, draw_normal, draw_normal_16, float_bits, integers
from test_kernel_launches import event
from test_kernel_parity import everything

from evoweights_kernels import (
    Call,
    Gene,
    Normal,
    Scalar,
    State,
    Uniform,
    bodies,
    gene_kernel,
    live_table,
    stream_id,
)

pytestmark = needs_compiler

FIRST_TILE = (1 << 22) + 5
SIZES = (1, 63, 1023, 1025, 4097)
STORAGES = {
    "float32": (torch.float32, False),
    "bfloat16": (torch.bfloat16, False),
    "bfloat16, stochastic": (torch.bfloat16, True),
}


def assert_parity(calls, what="", **options):
    """The calls on the host as CUDA text and by the reference, each on copies."""
    options = {"seed": SEED, "first_tile": FIRST_TILE} | options
    found = copies(calls)
    run_on_host(found, **options)
    assert_same(found, apply_to_copies(calls, backend="reference", **options), what)
    return found


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("name", [*BODIES, "everything"])
def test_bodies_give_the_reference_bits_at_every_size(name, storage):
    dtype, rounding = STORAGES[storage]
    rng = generator()
    for count in SIZES:
        kernel = BODIES.get(name, everything)
        assert_parity([sample_call(kernel, count, dtype=dtype, rng=rng, rounding=rounding)], count)


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16))
def test_fused_pipelines_give_the_reference_bits(dtype):
    rng = generator(1)
    for pso in (bodies.pso_towards, bodies.pso_towards_16):
        calls = event(dtype=dtype, pso=pso)
        if dtype == torch.bfloat16:
            calls = [Call(c.kernel, c.tensors, c.scalars, {**c.streams, "rounding": n}) for n, c in enumerate(calls)]
        assert_parity(calls, pso.name)
    x = values(4097, rng=rng).to(dtype)
    step = sample_call(bodies.adamw, 4097, dtype=dtype, rng=rng, shared={"x": x}, rounding=True)
    kick = sample_call(bodies.gaussian_mutation_of_all, 4097, dtype=dtype, rng=rng, shared={"x": x})
    coarse = sample_call(bodies.uniform_crossover_8, 4097, dtype=dtype, rng=rng, shared={"x": x})
    assert_parity([step, kick, coarse])


def test_storage_types_mix_in_one_call():
    whole = sample_call(bodies.adamw, 4097, dtype=torch.bfloat16, rng=generator(2), rounding=True)
    tensors = {name: t.float() if "moment" in name else t for name, t in whole.tensors.items()}
    assert_parity([Call(whole.kernel, tensors, whole.scalars, whole.streams)])
    tensors = {name: t.float() if name == "x" else t for name, t in whole.tensors.items()}
    assert_parity([Call(whole.kernel, tensors, whole.scalars, whole.streams)])


@gene_kernel
def draw_three(x: Gene, a: State, b: State, u: Uniform, v: Uniform, w: Uniform) -> tuple[Gene, State, State]:
    return u, v, w


@gene_kernel
def draw_both(x: Gene, a: State, u: Uniform, z: Normal) -> tuple[Gene, State]:
    return u, z


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16))
@pytest.mark.parametrize("widths", list(combinations_with_replacement((32, 16, 8), 3)))
def test_noise_of_several_widths_reaches_its_genes(widths, dtype):
    kernel = draw_three.with_bits(dict(zip("uvw", widths, strict=True)), name="drawn")
    found = assert_parity([sample_call(kernel, 4097, dtype=dtype, rng=generator())])
    assert all(t.unique().numel() > 100 for _, t in found[0].tensors.items())


@pytest.mark.parametrize("width", (32, 16))
def test_one_stream_serves_as_uniform_and_normal(width):
    kernel = draw_both.with_bits({"u": width, "z": width}, name="both")
    assert_parity([call(kernel, {"x": torch.zeros(3000), "a": torch.zeros(3000)}, streams={"u": 9, "z": 9})])


@pytest.mark.parametrize(("seed", "stream", "lane", "_", "expected"), GOLDEN)
def test_normals_are_the_published_ones(seed, stream, lane, _, expected):
    for count in (1024, 1023):  # in vectors, and gene by gene
        x = torch.zeros(count)
        run_on_host([call(draw_normal, {"x": x}, streams={"z": stream})], seed=seed, first_tile=lane // 256)
        found = float_bits(x[lane % 256 :: 256])
        assert found == integers(expected)[: len(found)] and len(found) == 4


def test_normals_of_16_bits_are_the_reference_s_for_every_word_s_range():
    assert_parity([call(draw_normal_16, {"x": torch.zeros(1 << 17)})])


def test_seeds_streams_and_scalars_arrive_whole():
    @gene_kernel
    def passed(x: Gene, s: State, a: Scalar, b: Scalar, z: Normal) -> tuple[Gene, State]:
        return z, a / b

    tensors = {"x": torch.zeros(2048), "s": torch.zeros(2048)}
    for seed, stream in ((0, 0), (-1, 1 << 63), ((1 << 63) + 5, (1 << 64) - 1), (1 << 32, 1 << 31)):
        for a, b in ((-0.0, 1.0), (float("inf"), -1.0), (1e-45, 1e-45), (0.1, 0.3)):
            assert_parity([call(passed, tensors, {"a": a, "b": b}, {"z": stream})], seed=seed)


@pytest.mark.parametrize("name", ("uniform_crossover_8", "gaussian_mutation", "adamw"))
def test_tensors_that_are_not_aligned_give_the_same_bits(name):
    for dtype in (torch.float32, torch.bfloat16):
        aligned = sample_call(BODIES[name], 3 * 1024, dtype=dtype, rng=generator(3))
        target = torch.cat((torch.zeros(1, dtype=dtype), aligned.target))[1:]
        assert target.data_ptr() % 16
        expected = apply_to_copies([aligned], seed=SEED, first_tile=3, backend="reference")
        shifted = Call(aligned.kernel, {**aligned.tensors, "x": target}, aligned.scalars, aligned.streams)
        run_on_host([shifted], seed=SEED, first_tile=3)
        assert_same([shifted], expected)


@pytest.mark.parametrize("name", ("gaussian_mutation", "uniform_crossover", "adamw"))
def test_live_tables_with_holes_leave_the_other_genes_untouched(name):
    count = 5 * 1024 + 17
    live = live_table(count)
    live[1], live[2], live[3] = 0, 1, 1000
    for dtype in (torch.float32, torch.bfloat16):
        calls = [sample_call(BODIES[name], count, dtype=dtype, rng=generator(4))]
        found = assert_parity(calls, live=live)
        idle = (torch.arange(1024) >= live[:, None]).flatten()[:count]
        assert same_bytes(found[0].target[idle], calls[0].target[idle])


@pytest.mark.parametrize("cuts", [(1, 5), (2, 3, 5)])
def test_chunks_give_the_bits_of_the_whole(cuts):
    whole = event()
    expected = assert_parity(whole, first_tile=7)
    chunked, first = copies(whole), 0
    for stop in cuts:
        parts = [
            Call(
                c.kernel,
                {n: t[first:stop] if n == "scale" else t[first * 1024 : stop * 1024] for n, t in c.tensors.items()},
                c.scalars,
                c.streams,
            )
            for c in chunked
        ]
        run_on_host(parts, seed=SEED, first_tile=7 + first)
        first = stop
    assert_same(chunked, expected)


@pytest.mark.parametrize("tiles_before", (1 << 21, 1 << 28, 1 << 33))
def test_genes_far_beyond_32_bits_are_reached(tiles_before):
    """The last: 2^43 genes, 2^36 threads; more than any GPU holds, and every index has passed 2^32."""
    live = torch.tensor([1024, 0, 1000, 1024], dtype=torch.int32)
    calls = [sample_call(bodies.uniform_crossover_8, 4 * 1024 - 5, dtype=torch.bfloat16, rng=generator())]
    found = copies(calls)
    run_as_the_end_of_a_long_tensor(found, seed=SEED, live=live, tiles_before=tiles_before)
    assert_same(found, apply_to_copies(calls, seed=SEED, live=live, first_tile=tiles_before, backend="reference"))


@pytest.mark.parametrize("first_tile", (0, (1 << 24) + 1, (1 << 32) + 7, (1 << 53) - 8))
def test_a_chunk_may_lie_anywhere_in_its_genome(first_tile):
    assert_parity(event(), first_tile=first_tile)
    assert_parity([sample_call(bodies.uniform_crossover_8, 3000, rng=generator())], first_tile=first_tile)


@pytest.mark.parametrize("streams", ({}, {"rounding": 5}))
def test_rounding_to_bfloat16_keeps_nan_a_nan(streams):
    patterns = torch.tensor([0x3F808000, 0x3F818000, 0x3F808001, 0x7F7FFFFF, 0x7FFFFFFF, 0x7F800001] * 500)
    leader = patterns.to(torch.int32).view(torch.float32)
    negative = torch.cat((leader, -leader))
    x = torch.zeros(6000, dtype=torch.bfloat16)
    found = assert_parity([Call(bodies.mix, {"x": x, "leader": negative}, {"weight": 1.0}, streams)])[0].target
    assert torch.equal(found.isnan(), negative.isnan())


@given(st.lists(TREES, min_size=6, max_size=6))
@settings(max_examples=8)
def test_any_expression_gives_the_reference_bits(trees):
    @gene_kernel
    def grown(
        x: Gene, y: State, p: State, q: State, r: State, t: State, s: Scalar
    ) -> tuple[Gene, State, State, State, State, State]:
        return tuple(grow(tree, {"x": x, "y": y, "s": s}) for tree in trees)

    a, b = pairs((0.0, -0.0, 1e-45, 1.1754944e-38, 0.5, -3.0, 3.4e38, float("inf"), float("-inf"), float("nan")))
    tensors = {"x": a, "y": b} | {name: torch.zeros(100) for name in "pqrt"}
    assert_parity([call(grown, tensors, {"s": 0.7})], trees)


@pytest.mark.parametrize("name", ("mix", "pso"))
def test_nothing_outside_the_tensors_is_written(name):
    for count in (1000, 1023, 1024, 1025, 2047):
        whole = sample_call(BODIES[name], count + 64, rng=generator(5))
        tensors = {n: t[32 : 32 + count] for n, t in whole.tensors.items()}
        before = {n: t.clone() for n, t in whole.tensors.items()}
        run_on_host([Call(whole.kernel, tensors, whole.scalars, {"r1": 1, "r2": 2} if name == "pso" else {})], seed=1)
        for n, t in whole.tensors.items():
            assert same_bytes(t[:32], before[n][:32]) and same_bytes(t[32 + count :], before[n][32 + count :]), n


def test_rounding_stochastically_uses_its_own_stream():
    exact = torch.full((200_000,), 1.0 + 0.3 / 128)
    x = torch.zeros(200_000, dtype=torch.bfloat16)
    rounded = Call(bodies.mix, {"x": x, "leader": exact}, {"weight": 1.0}, {"rounding": stream_id("r")})
    found = assert_parity([rounded])[0].target.double()
    assert abs(float((found > 1.0).double().mean()) - 0.3) < 5 * (0.3 * 0.7 / 200_000) ** 0.5
