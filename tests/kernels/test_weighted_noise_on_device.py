"""On a GPU: sums of noise have the reference's bits by CUDA and by compiled Triton, on any stream, and wait for nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from kernel_cases import same_bytes
from test_weighted_noise_cuda import MEMBERS, SHAPES, launch_of

from evoweights_kernels import KernelError, add_weighted_noise_

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


def on_device(launch):
    return {name: each.cuda() if isinstance(each, torch.Tensor) else each for name, each in launch.items()}


def different(backend):
    """Variants whose bits on the device are not the reference's."""
    wrong = []
    for shape in SHAPES:
        x, launch = launch_of(shape, 70_001)
        found = x.cuda()
        assert add_weighted_noise_(found, **on_device(launch), backend=backend) == backend
        add_weighted_noise_(x, **launch, backend="reference")
        if not same_bytes(x, found.cpu()):
            wrong.append(str(shape))
    return wrong


def test_cuda_gives_the_reference_bits():
    assert different("cuda") == []


def test_compiled_triton_gives_the_reference_bits():
    variables = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    variables["PYTHONPATH"] = os.pathsep.join((str(Path(__file__).parent), *sys.path))
    script = (
        "import json, sys; from test_weighted_noise_on_device import different;"
        "sys.stdout.write(json.dumps(different('triton')))"
    )
    done = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_a_launch_waits_for_nothing():
    x = torch.zeros(1 << 20, device="cuda")
    launch = {**MEMBERS, "seed": 1, "backend": "cuda"}
    add_weighted_noise_(x, **launch)
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            add_weighted_noise_(x, **launch)
    finally:
        torch.cuda.set_sync_debug_mode(mode)


def test_many_launches_on_two_streams_keep_their_members_apart():
    """The host's table of a launch that has not begun must not be written over by the next one's."""
    streams, found = [torch.cuda.Stream() for _ in range(2)], [torch.zeros(1 << 20, device="cuda") for _ in range(2)]
    expected = [torch.zeros(1 << 20) for _ in range(2)]
    torch.cuda.synchronize()
    for step in range(50):
        for row in range(2):
            launch = {"streams": range(step, step + 30), "weights": [0.1 * (row + 1)] * 30, "seed": row}
            with torch.cuda.stream(streams[row]):
                add_weighted_noise_(found[row], **launch, backend="cuda")
            add_weighted_noise_(expected[row], **launch)
    torch.cuda.synchronize()
    assert all(torch.equal(a.cpu(), b) for a, b in zip(found, expected, strict=True))


def test_a_launch_within_a_graph_is_refused():
    x, graph = torch.zeros(2048, device="cuda"), torch.cuda.CUDAGraph()
    add_weighted_noise_(x, **MEMBERS, seed=1, backend="cuda")
    with pytest.raises(KernelError, match="graph cannot capture"), torch.cuda.graph(graph):
        add_weighted_noise_(x, **MEMBERS, seed=1, backend="cuda")
