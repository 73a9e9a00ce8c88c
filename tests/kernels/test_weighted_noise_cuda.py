"""The CUDA text of the sums of noise, run on the host thread by thread and compiled by NVRTC, has the reference's bits."""

import ctypes
import re
import subprocess
from itertools import pairwise, product

import pytest
import torch
from cuda_on_host import library, needs_compiler
from hypothesis import given, settings
from kernel_cases import generator, same_bytes, values
from test_cuda_launches import needs_nvrtc
from test_cuda_machine_code import cuobjdump, needs_cuobjdump
from test_weighted_noise import applied, launches

from evoweights_kernels import KernelError, _cuda, add_weighted_noise_, cuda_compiler, live_table
from evoweights_kernels.cuda_source import BLOCKS, THREADS
from evoweights_kernels.weighted_noise import cuda
from evoweights_kernels.weighted_noise.members import members_of
from evoweights_kernels.weighted_noise.request import Shape, check_request, shape_of

SEED, COUNT = 0x0123456789ABCDEF, 4 * 1024 + 17
MEMBERS = {"streams": [3, (1 << 63) + 5, 7], "weights": [0.5, -0.25, 1e-3]}
STORAGES = ("float32", "bfloat16")
SHAPES = [
    Shape(storage, base, bits, has_mask=rich, is_stochastic=rich and storage == "bfloat16")
    for storage, base, bits, rich in product(STORAGES, (None, *STORAGES), (32, 16), (False, True))
]


def checked(x, launch):
    plain = {"base": None, "bits": 32, "scale": None, "mask": None, "live": None, "first_tile": 0, "rounding": None}
    return check_request(x, **plain | launch)


def run_on_host(x, **launch):
    """What `add_weighted_noise_` does on a GPU."""
    request = checked(x, launch)
    if x.numel() == 0 or (request.base is None and not request.weights):
        return
    members, shape = members_of(request), shape_of(request)
    values, addresses = cuda.parameters(request, members)
    blocks = -(-request.tiles * cuda.threads_per_tile(shape) // THREADS)
    library(cuda.source(shape)).launch(0, blocks, THREADS, addresses)
    del values


def launch_of(shape, count=COUNT, seed=0):
    rng = generator(seed)
    tiles = -(-count // 1024)
    return values(count, rng=rng).to(getattr(torch, shape.storage)), {
        **MEMBERS,
        "seed": SEED,
        "base": None if shape.base is None else values(count, rng=rng).to(getattr(torch, shape.base)),
        "bits": shape.bits,
        "scale": torch.rand(tiles, generator=rng) if shape.has_mask else None,
        "mask": (9, 0.4) if shape.has_mask else None,
        "rounding": 5 if shape.is_stochastic else None,
        "first_tile": (1 << 22) + 5,
    }


def assert_parity(x, launch):
    found = x.clone()
    run_on_host(found, **launch)
    assert same_bytes(applied(x, launch, "reference"), found)
    return found


@needs_compiler
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_variant_gives_the_reference_bits(shape):
    assert shape_of(checked(*launch_of(shape, 5))) == shape
    assert_parity(*launch_of(shape))


@needs_compiler
@settings(max_examples=30)
@given(launches())
def test_any_launch_gives_the_reference_bits(drawn):
    assert_parity(*drawn)


@needs_compiler
@pytest.mark.parametrize("cuts", [(0, 1, 5), (0, 2, 3, 5)])
def test_chunks_give_the_bits_of_the_whole(cuts):
    x, launch = launch_of(SHAPES[-1])
    whole, parts = assert_parity(x, launch), x.clone()
    for first, stop in pairwise(cuts):
        span = slice(first * 1024, stop * 1024)
        tables = {"base": launch["base"][span], "scale": launch["scale"][first:stop]}
        run_on_host(parts[span], **launch | tables | {"first_tile": launch["first_tile"] + first})
    assert same_bytes(whole, parts)


@needs_compiler
@pytest.mark.parametrize("shape", (SHAPES[0], SHAPES[-1]), ids=str)
def test_live_tables_and_tensors_that_are_not_aligned_give_the_reference_bits(shape):
    x, launch = launch_of(shape)
    live = live_table(COUNT)
    live[1], live[2], live[3] = 0, 1, 1000
    expected = applied(x, launch | {"live": live}, "reference")
    for shift in (0, 1):
        room = torch.cat((torch.zeros(shift, dtype=x.dtype), x, torch.ones(64, dtype=x.dtype)))
        run_on_host(room[shift : shift + COUNT], **launch, live=live)
        assert same_bytes(room[shift : shift + COUNT], expected)
        assert not room[:shift].any() and bool((room[shift + COUNT :] == 1).all())


@needs_compiler
@pytest.mark.parametrize("tiles_before", (1 << 21, 1 << 28, 1 << 33))
@pytest.mark.parametrize("bits", (32, 16))
def test_genes_far_beyond_32_bits_are_reached(tiles_before, bits):
    """As if so many tiles, which nobody touches, came before x and its live table."""
    x, launch = launch_of(Shape("bfloat16", None, bits, False, False), 4 * 1024 - 5)
    live = torch.tensor([1024, 0, 1000, 1024], dtype=torch.int32)
    request, found = checked(x, launch | {"live": live, "first_tile": 0}), x.clone()
    members = members_of(request)
    _, addresses = cuda.parameters(request, members)
    starts = (found.data_ptr() - 2048 * tiles_before, 0, live.data_ptr() - 4 * tiles_before)
    for address, start in zip(addresses, starts, strict=False):
        ctypes.c_uint64.from_address(address).value = start % 2**64
    genes = ctypes.c_int64.from_address(addresses[-1] + 24)
    assert genes.value == request.genes
    genes.value += 1024 * tiles_before
    shape = shape_of(request)
    tiles_per_block = THREADS // cuda.threads_per_tile(shape)
    first, blocks = tiles_before // tiles_per_block, -(-request.tiles // tiles_per_block)
    library(cuda.source(shape)).launch(first, blocks, THREADS, addresses)
    assert same_bytes(found, applied(x, launch | {"live": live, "first_tile": tiles_before}, "reference"))


class OnDevice(torch.Tensor):
    """A CPU tensor that says it lies on a GPU."""

    device = torch.device("cuda", 3)


@needs_compiler
@pytest.mark.parametrize("shape", (SHAPES[0], SHAPES[-1]), ids=str)
def test_the_launch_has_as_many_blocks_as_it_needs(shape, monkeypatch):
    x, launch = launch_of(shape)
    expected = applied(x, launch, "reference")
    request = checked(x, launch)
    object.__setattr__(request, "x", x.as_subclass(OnDevice))
    monkeypatch.setattr(cuda, "members_of", lambda _: members_of(checked(x, launch)))
    monkeypatch.setattr(_cuda, "load", lambda text, index: (library(text), index))

    def start(function, blocks, addresses, device):
        assert function[1] == device.index == 3
        function[0].launch(0, blocks, THREADS, addresses)

    monkeypatch.setattr(_cuda, "launch", start)
    cuda._function.cache_clear()
    cuda.run(request)
    cuda._function.cache_clear()
    assert same_bytes(x, expected)


def test_the_table_of_members_holds_their_bits():
    table = members_of(checked(torch.zeros(5), {**MEMBERS, "streams": [1, (1 << 64) - 2, 3], "seed": 1}))
    assert table.dtype == torch.int32 and table.shape == (3, 4)
    assert table[1, :2].tolist() == [-2, -1] and table[0, :2].tolist() == [1, 0]
    assert table[:, 2].contiguous().view(torch.float32).tolist() == torch.tensor(MEMBERS["weights"]).tolist()


def test_a_graph_that_is_being_captured_is_refused(monkeypatch):
    request = checked(torch.zeros(5), {**MEMBERS, "seed": 1})
    object.__setattr__(request, "x", torch.zeros(5).as_subclass(OnDevice))
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    with pytest.raises(KernelError, match="its members are copied to the device, which a CUDA graph cannot capture"):
        members_of(request)


def test_cuda_asked_for_by_name_does_not_fall_back():
    with pytest.raises(KernelError, match="'cuda' cannot run"):
        add_weighted_noise_(torch.zeros(5), **MEMBERS, seed=1, backend="cuda")


@needs_nvrtc
@pytest.mark.parametrize("architecture", ("sm_80", "sm_90"))
@pytest.mark.parametrize("shape", [SHAPES[i] for i in (0, 3, 13, 18, 20, 23)], ids=str)
def test_nvrtc_compiles_it_to_wide_access_without_contraction(shape, architecture):
    made = cuda_compiler.compile_source(cuda.source(shape), architecture)
    assert made.cubin.startswith(b"\x7fELF") and f".target {architecture}" in made.ptx
    assert re.search(r"ld\.global(\.nc)?\.v4\.[bfu]32", made.ptx) and re.search(r"st\.global\.v4\.[bfu]32", made.ptx)
    assert not re.findall(r"\bfma\.|\bmad\.f|\.ftz|\.approx|\.full", made.ptx)
    assert "bar.sync" not in made.ptx and ".shared" not in made.ptx, "threads exchange something"


def disassembled(source, folder, *, part):
    """The machine code for sm_90, without the path for partial tiles."""
    whole_tiles = source.replace("    else some(", "    else if (false) some(")
    assert whole_tiles != source
    path = folder / "kernel.cubin"
    path.write_bytes(cuda_compiler.compile_source(whole_tiles, "sm_90").cubin)
    return subprocess.run([cuobjdump(), part, path], capture_output=True, text=True, check=True).stdout


# Most instructions a gene and member may take on whole tiles: what a gene takes once is counted in.
BUDGETS = {
    Shape("float32", None, 32, False, False): 62,
    Shape("float32", None, 16, False, False): 54,
    Shape("bfloat16", "float32", 32, False, False): 66,
    Shape("bfloat16", None, 32, False, True): 77,
    Shape("bfloat16", None, 16, False, True): 65,
}


@needs_nvrtc
@needs_cuobjdump
@pytest.mark.parametrize("shape", BUDGETS, ids=str)
def test_a_gene_takes_no_more_instructions_than_its_budget_and_all_sums_stay_in_registers(shape, tmp_path):
    source, genes = cuda.source(shape), cuda.lanes_per_thread(shape) * 128 // shape.bits
    text = disassembled(source, tmp_path, part="-sass")
    found = re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)", text)
    found = [code for code in found if code != "NOP"]
    assert any(re.match(r"LDG.*128", code) for code in found) and any(re.match(r"STG.*128", code) for code in found)
    assert len(found) <= BUDGETS[shape] * genes, f"{len(found) / genes:.1f} instructions a gene"
    usage = disassembled(source, tmp_path, part="-res-usage")
    (registers,), (stack,) = re.findall(r"REG:(\d+)", usage), re.findall(r"STACK:(\d+)", usage)
    assert stack == "0" and int(registers) <= 65536 // (THREADS * BLOCKS)
