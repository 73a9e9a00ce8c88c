"""Sums of regenerated noise: one definition, the same bits on every target, in chunks, with live tables and threads."""

import platform

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import generator, same_bytes, values

from evoweights_kernels import TILE, Call, KernelError, add_weighted_noise_, apply_, bodies, live_table, normals

SIZES = (1, 63, 1000, 1024, 1025, 4097, 40 * 1024 + 7)
DTYPES = (torch.float32, torch.bfloat16)
SEED = 11


def genes(size, dtype=torch.float32, seed=0):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed)).to(dtype)


def bits(tensor):
    return tensor.view(torch.int16 if tensor.dtype == torch.bfloat16 else torch.int32)


@st.composite
def launches(draw):
    """Everything but x: members, storage, what else is read."""
    members = draw(st.integers(0, 5))
    size = draw(st.sampled_from(SIZES))
    tiles = -(-size // TILE)
    dtype = draw(st.sampled_from(DTYPES))
    base = draw(st.sampled_from([None, *DTYPES]))
    weight = st.one_of(st.just(0.0), st.floats(-2.0, 2.0, width=32))
    table = st.lists(st.integers(0, TILE), min_size=tiles, max_size=tiles)
    return genes(size, dtype), {
        "streams": draw(st.lists(st.integers(0, 2**64 - 1), min_size=members, max_size=members)),
        "weights": draw(st.lists(weight, min_size=members, max_size=members)),
        "seed": draw(st.integers(0, 2**64 - 1)),
        "base": None if base is None else genes(size, base, 1),
        "bits": draw(st.sampled_from((16, 32))),
        "scale": genes(tiles, seed=2) if draw(st.booleans()) else None,
        "mask": (draw(st.integers(0, 2**64 - 1)), draw(st.floats(0, 1))) if draw(st.booleans()) else None,
        "live": torch.tensor(draw(table), dtype=torch.int32) if draw(st.booleans()) else None,
        "first_tile": draw(st.sampled_from((0, 3, 2**31, 2**40 + 5))),
        "rounding": draw(st.one_of(st.none(), st.integers(0, 2**64 - 1))),
    }


def applied(x, launch, backend):
    x = x.clone()
    assert add_weighted_noise_(x, **launch, backend=backend) == backend
    return x


@pytest.mark.parametrize("backend", ["cpu", "triton"])
@settings(max_examples=40)
@given(launches())
def test_every_target_gives_the_bits_of_the_reference(backend, drawn):
    x, launch = drawn
    expected, found = applied(x, launch, "reference"), applied(x, launch, backend)
    assert torch.equal(bits(expected), bits(found))


@pytest.mark.parametrize("backend", ["reference", "cpu", "triton"])
@settings(max_examples=15)
@given(launches(), st.integers(1, 40))
def test_chunks_give_the_bits_of_the_whole(backend, drawn, cut):
    x, launch = drawn
    whole, parts = applied(x, launch, backend), x.clone()
    for first, last in ((0, cut), (cut, 10**6)):
        span = slice(first * TILE, last * TILE)
        part = {
            **launch,
            "base": None if launch["base"] is None else launch["base"][span],
            "scale": None if launch["scale"] is None else launch["scale"][first:last],
            "live": None if launch["live"] is None else launch["live"][first:last],
            "first_tile": launch["first_tile"] + first,
        }
        add_weighted_noise_(parts[span], **part, backend=backend)
    assert torch.equal(bits(whole), bits(parts))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backend", ["cpu", "triton"])
def test_extreme_values_give_the_bits_of_the_reference(backend, dtype):
    x, base = (values(2 * TILE + 9, rng=generator(seed)) for seed in (0, 1))
    for width, rounding in ((32, None), (16, 5)):
        launch = {"streams": [1, 2], "weights": [1e38, -3e38], "seed": SEED, "bits": width, "rounding": rounding}
        for each in (None, base, base.bfloat16()):
            expected, found = (applied(x.to(dtype), launch | {"base": each}, name) for name in ("reference", backend))
            assert same_bytes(expected, found) and bool(found.isnan().any())


def test_threads_change_nothing():
    x, launch = genes(200 * TILE + 3), {"streams": [1, 2, 3], "weights": [0.1, -0.5, 0.25], "seed": SEED}
    before = torch.get_num_threads()
    found = []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        found.append(applied(x, launch, "cpu"))
    torch.set_num_threads(before)
    assert torch.equal(bits(found[0]), bits(found[1])) and torch.equal(bits(found[0]), bits(found[2]))


@pytest.mark.skipif(platform.system() != "Linux", reason="elsewhere memory that nobody touches may be taken")
def test_genes_beyond_two_to_the_31_are_reached():
    """Five tiles take part, and only their memory is touched: the genes that remain behind the first need 32 bits."""
    tiles, taking_part = (1 << 21) + 4, [0, 3, 4, 1 << 20, (1 << 21) + 3]
    x = torch.from_numpy(np.zeros(tiles * TILE - 5, np.uint16)).view(torch.bfloat16)
    table = torch.zeros(tiles, dtype=torch.int32)
    table[taking_part] = TILE
    launch = {"streams": [1, 2], "weights": [1.0, 0.5], "seed": SEED}
    add_weighted_noise_(x, **launch, live=table, backend="cpu")
    for tile in taking_part:
        found = x[tile * TILE : (tile + 1) * TILE]
        expected = applied(torch.zeros_like(found), launch | {"first_tile": tile}, "reference")
        assert torch.equal(bits(found), bits(expected)), tile


@pytest.mark.parametrize("width", [16, 32])
def test_the_noise_is_that_of_a_gene_kernel(width):
    size, stream = 3 * TILE + 77, 99
    x = torch.zeros(size)
    add_weighted_noise_(x, streams=[stream], weights=[1.0], seed=SEED, bits=width)
    assert torch.equal(x, normals(SEED, stream, size, bits=width))
    kernel = bodies.gaussian_mutation_of_all if width == 32 else bodies.gaussian_mutation_of_all_16
    y, z = torch.ones(size), torch.ones(size)
    add_weighted_noise_(y, streams=[stream], weights=[0.5], seed=SEED, bits=width)
    call = Call(
        kernel, tensors={"x": z, "scale": torch.ones(4)}, scalars={"sigma": 0.5}, streams={_noise(kernel): stream}
    )
    apply_([call], seed=SEED)
    assert torch.equal(y, z)


def _noise(kernel):
    return next(each.name for each in kernel.arguments if each.is_noise)


@given(st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=6), st.sampled_from((16, 32)))
@settings(max_examples=30)
def test_opposite_weights_give_the_opposite_sum_and_twice_the_weights_twice_the_sum(weights, width):
    sums = []
    for factor in (1.0, -1.0, 2.0):
        x = torch.zeros(2 * TILE)
        given = [factor * weight for weight in weights]
        add_weighted_noise_(x, streams=range(len(weights)), weights=given, seed=SEED, bits=width)
        sums.append(x)
    assert torch.equal(sums[1], -sums[0]) and torch.equal(sums[2], 2 * sums[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backend", ["reference", "cpu", "triton"])
def test_no_weight_no_scale_or_no_chance_leaves_every_bit(backend, dtype):
    x = genes(2 * TILE + 5, dtype)
    x[:4] = torch.tensor([0.0, -0.0, float("inf"), float("nan")])
    one = {"streams": [5, 6], "weights": [1.0, -2.0], "seed": SEED}
    for launch in (
        {**one, "weights": [0.0, -0.0]},
        {**one, "scale": torch.zeros(3)},
        {**one, "mask": (3, 0.0)},
        {**one, "streams": [], "weights": []},
    ):
        copy = torch.empty_like(x)
        add_weighted_noise_(copy, **launch, base=x, backend=backend)
        for found in (applied(x, launch, backend), copy):
            assert bool(found[3].isnan())  # which NaN is not promised
            found[3] = x[3]
            assert torch.equal(bits(found), bits(x))


def test_the_order_of_members_matters_in_the_last_place_only():
    weights, x, y = [0.3, -1.1, 0.7, 2.0], torch.zeros(4 * TILE), torch.zeros(4 * TILE)
    add_weighted_noise_(x, streams=[1, 2, 3, 4], weights=weights, seed=SEED)
    add_weighted_noise_(y, streams=[4, 3, 2, 1], weights=weights[::-1], seed=SEED)
    torch.testing.assert_close(x, y, rtol=0, atol=4e-6)


def test_a_mask_takes_its_share_and_the_same_genes_for_every_member():
    changed = []
    for stream in (1, 2):
        x = torch.zeros(200 * TILE)
        add_weighted_noise_(x, streams=[stream], weights=[1.0], seed=SEED, mask=(77, 0.25))
        changed.append(x != 0)
    assert torch.equal(*changed)
    share, sd = changed[0].double().mean(), (0.25 * 0.75 / (200 * TILE)) ** 0.5
    assert abs(share - 0.25) < 5 * sd


def test_stochastic_rounding_is_unbiased():
    x, total = torch.full((512 * TILE,), 0.02, dtype=torch.bfloat16), torch.zeros(512 * TILE)
    add_weighted_noise_(total, streams=[1], weights=[1e-5], seed=SEED)
    add_weighted_noise_(x, streams=[1], weights=[1e-5], seed=SEED, rounding=8)
    error = x.double() - (torch.tensor(0.02, dtype=torch.bfloat16).double() + total.double())
    assert abs(float(error.mean())) < 5 * float(error.std()) / error.numel() ** 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"streams": [1, 2]}, "2 streams and 1 weights were given; every member needs one of each"),
        ({"weights": [float("nan")]}, "weights must be finite numbers, found nan"),
        ({"weights": [1e300]}, "a weight is too large for float32"),
        ({"bits": 8}, "bits must be 16 or 32, found 8"),
        ({"first_tile": -1}, r"first_tile must be a whole number within \[0, 2\^53\), found -1"),
        ({"first_tile": 1 << 53}, "first_tile"),
        ({"seed": 1.5}, r"seeds and streams must be integers \(see stream_id\), found 1\.5"),
        ({"mask": (1, 1.5)}, "mask: a probability must lie within"),
        ({"mask": 0.5}, "mask must be a pair of a stream and a probability, found 0.5"),
        ({"base": torch.zeros(5)}, "base has 5 elements on cpu, x has 2048 on cpu; both must agree"),
        ({"base": torch.zeros(2048, dtype=torch.float64)}, "base is torch.float64; allowed are torch.float32"),
        ({"scale": torch.zeros(3)}, "scale must be torch.float32 of 2 elements, one a tile of 1024 genes"),
        ({"live": torch.zeros(2)}, r"live must be a contiguous int32 tensor \[2\], found torch.float32"),
        ({"live": torch.tensor([1024, 1025], dtype=torch.int32)}, "found 1024 to 1025"),
        (
            {"live": torch.ones(2, dtype=torch.int32, device="meta")},
            "live lies on meta, the tensors on cpu; move it there",
        ),
        ({"scale": torch.ones(2, device="meta")}, "scale lies on meta, x on cpu; move one of them"),
        ({"live": [1024, 1024]}, r"live must be a tensor \(live_table\(numel\) makes one\), found list"),
        ({"base": torch.ones(2048, device="meta")}, "both must agree"),
        ({"streams": ["a"]}, "must be integers .*found 'a'"),
        ({"backend": "tpu"}, "backend 'tpu' does not exist; allowed are auto"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes, message):
    x = torch.ones(2048)
    with pytest.raises(KernelError, match=message):
        add_weighted_noise_(x, **{"streams": [1], "weights": [1.0], "seed": 1, **changes})
    assert bool((x == 1).all())


def test_overlap_and_strides_are_refused():
    x = torch.zeros(4096)
    with pytest.raises(KernelError, match="base overlaps x without being the same; copy one of them"):
        add_weighted_noise_(x[:2048], streams=[1], weights=[1.0], seed=1, base=x[1024:3072])
    with pytest.raises(KernelError, match="x must be a flat contiguous tensor, found"):
        add_weighted_noise_(x[::2], streams=[1], weights=[1.0], seed=1)


def test_genes_that_take_no_part_are_not_written():
    x = torch.zeros(3 * TILE)
    table = live_table(3 * TILE)
    table[1] = 10
    add_weighted_noise_(x, streams=[1], weights=[1.0], seed=1, live=table)
    assert int((x[TILE : 2 * TILE] != 0).sum()) == 10 and bool((x[TILE + 10 : 2 * TILE] == 0).all())


def test_autograd_notices_that_a_tensor_was_written():
    x = torch.zeros(TILE)
    version = x._version
    add_weighted_noise_(x, streams=[1], weights=[1.0], seed=1)
    assert x._version > version
