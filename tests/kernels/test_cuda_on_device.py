"""On a GPU: the CUDA target gives the bits of the reference and of Triton, on any stream, in graphs, from any thread."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from kernel_cases import (
    BODIES,
    SEED,
    SIZES,
    apply_to_copies,
    assert_same,
    call,
    copies,
    generator,
    same_bytes,
    sample_call,
)
from test_kernel_launches import event
from test_kernel_parity import everything

from evoweights_kernels import Call, KernelError, apply_, backends, bodies, live_table

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]

KERNELS = {**BODIES, "everything": everything}
STORAGES = {
    "float32": (torch.float32, False),
    "bfloat16": (torch.bfloat16, False),
    "bfloat16, stochastic": (torch.bfloat16, True),
}


def on_device(calls, device="cuda"):
    """The calls on copies of their tensors on a device; shared ones stay shared."""
    made = {}

    def moved(tensor):
        return made.setdefault(tensor.data_ptr() or id(tensor), tensor.to(device, copy=True))

    return [Call(c.kernel, {n: moved(t) for n, t in c.tensors.items()}, c.scalars, c.streams) for c in calls]


def on_host(calls):
    return on_device(calls, "cpu")


def sample(name, count, storage):
    dtype, rounding = STORAGES[storage]
    return [sample_call(KERNELS[name], count, dtype=dtype, rng=generator(), rounding=rounding)]


def test_the_backend_is_usable():
    assert backends()["cuda"].usable, backends()["cuda"].reason


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("name", KERNELS)
def test_cuda_gives_the_reference_bits_at_every_size(name, storage):
    for count in SIZES:
        calls = sample(name, count, storage)
        expected = apply_to_copies(calls, seed=SEED, backend="reference", first_tile=(1 << 22) + 5)
        found = on_device(calls)
        assert apply_(found, seed=SEED, backend="cuda", first_tile=(1 << 22) + 5) == "cuda"
        assert_same(on_host(found), expected, count)


TRITON_SCRIPT = """
import json, sys, torch
from kernel_cases import SEED, same_bytes, written
from test_cuda_on_device import KERNELS, STORAGES, copies, event, on_device, sample
from evoweights_kernels import apply_

different = []
cases = {(name, storage): sample(name, 70_001, storage) for name in KERNELS for storage in STORAGES}
cases |= {("event", str(dtype)): event(70_001, dtype=dtype) for dtype in (torch.float32, torch.bfloat16)}
for case, calls in cases.items():
    results = []
    for backend in ("cuda", "triton"):
        made = on_device(calls)
        apply_(made, seed=SEED, backend=backend, first_tile=11)
        results.append(written(made))
    if not all(same_bytes(a, b) for (_, a), (_, b) in zip(*results, strict=True)):
        different.append(case)
sys.stdout.write(json.dumps([len(cases), different]))
"""


def test_cuda_gives_the_bits_of_compiled_triton():
    variables = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    variables["PYTHONPATH"] = os.pathsep.join((str(Path(__file__).parent), *sys.path))
    done = subprocess.run([sys.executable, "-c", TRITON_SCRIPT], env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    count, different = json.loads(done.stdout)
    assert count == 3 * len(KERNELS) + 2 and different == []


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16))
def test_a_fused_event_of_many_tiles_gives_the_reference_bits(dtype):
    calls = event((1 << 20) + 5, dtype=dtype)
    expected = apply_to_copies(calls, seed=SEED, backend="reference")
    found = on_device(calls)
    apply_(found, seed=SEED, backend="cuda")
    assert_same(on_host(found), expected)


def test_live_tables_and_tensors_that_are_not_aligned_give_the_reference_bits():
    count = 5 * 1024 + 17
    live = live_table(count)
    live[1], live[2], live[3] = 0, 1, 1000
    calls = sample("gaussian_mutation", count, "bfloat16")
    expected = apply_to_copies(calls, seed=SEED, backend="reference", live=live)
    found = on_device(calls)
    target = torch.cat((torch.zeros(1, dtype=torch.bfloat16, device="cuda"), found[0].target))[1:]
    shifted = [Call(found[0].kernel, {**found[0].tensors, "x": target}, found[0].scalars, found[0].streams)]
    for made in (found, shifted):
        apply_(made, seed=SEED, backend="cuda", live=live.cuda())
        assert_same(on_host(made), expected)


def test_a_launch_waits_for_what_its_stream_was_given_before():
    x = torch.zeros(1 << 22, device="cuda")
    other = torch.zeros_like(x)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(50):
            other.add_(1.0)
        apply_([call(bodies.mix, {"x": x, "leader": other}, {"weight": 1.0})], seed=1, backend="cuda")
        other.zero_()
    side.synchronize()
    assert x.unique().tolist() == [50.0]


def test_a_launch_can_be_captured_in_a_graph_once_it_is_loaded():
    calls = on_device(event(50_000))
    expected = copies(calls)
    apply_(copies(calls), seed=SEED, backend="cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        apply_(calls, seed=SEED, backend="cuda")
    for _ in range(2):
        graph.replay()
        apply_(expected, seed=SEED, backend="cuda")
    torch.cuda.synchronize()
    assert_same(calls, expected)


def test_a_first_launch_in_a_graph_is_refused():
    graph, x, leader = torch.cuda.CUDAGraph(), torch.zeros(10, device="cuda"), torch.ones(10, device="cuda")
    first = call(bodies.mix.with_bits({}, name="a kernel of its own"), {"x": x, "leader": leader}, {"weight": 0.5})
    with pytest.raises(KernelError, match="launch it once before"), torch.cuda.graph(graph):
        apply_([first], seed=1, backend="cuda")


def test_threads_without_a_context_launch_too():
    calls = [on_device(event(20_000, seed=seed)) for seed in range(4)]
    expected = [copies(each) for each in calls]
    for each in expected:
        apply_(each, seed=SEED, backend="cuda")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda each: apply_(each, seed=SEED, backend="cuda"), calls))
    torch.cuda.synchronize()
    for one, other in zip(calls, expected, strict=True):
        assert_same(one, other)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is one CUDA device only")
def test_every_device_computes_the_same_and_the_current_one_stays():
    calls = event(20_000)
    first, second = on_device(calls, "cuda:0"), on_device(calls, "cuda:1")
    for made in (second, first):
        apply_(made, seed=SEED, backend="cuda")
    assert torch.cuda.current_device() == 0
    assert_same(on_host(first), on_host(second))


def test_genes_beyond_two_to_the_31_are_reached():
    tiles = (1 << 21) + 3
    if torch.cuda.mem_get_info()[0] < 6 * tiles * 1024:
        pytest.skip("the device has too little memory free")
    x = torch.zeros(tiles * 1024 - 5, dtype=torch.bfloat16, device="cuda")
    leader = torch.ones_like(x)
    apply_([call(bodies.uniform_crossover, {"x": x, "other": leader}, {"take": 0.6})], seed=SEED, backend="cuda")
    tail = torch.zeros(2043, dtype=torch.bfloat16)
    part = call(bodies.uniform_crossover, {"x": tail, "other": torch.ones_like(tail)}, {"take": 0.6})
    apply_([part], seed=SEED, first_tile=tiles - 2, backend="reference")
    assert same_bytes(x[-2043:].cpu(), tail)
