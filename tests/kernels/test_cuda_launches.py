"""The CUDA target around its kernels: refusals, the cache of machine code, arguments, and what the driver is asked."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cuda_stub_driver as stub
import pytest
import torch
from cuda_on_host import COMPILER, needs_compiler
from kernel_cases import BODIES, generator, sample_call

from evoweights_kernels import KernelError, _cuda, bodies, cuda_compiler, cuda_source, generated_source, launch
from evoweights_kernels.availability import Availability
from evoweights_kernels.cache import cache_folder, load_or_make
from evoweights_kernels.cuda_tile import threads_per_tile
from evoweights_kernels.fuse import fuse_kernels
from evoweights_kernels.plan import plan

needs_nvrtc = pytest.mark.skipif(bool(cuda_compiler.missing()), reason=cuda_compiler.missing() or "NVRTC is installed")


@pytest.fixture
def device(monkeypatch):
    """Torch says there is a CUDA device, and nothing is remembered of the machine's own."""
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda_compiler, "missing", cuda_compiler.missing.__wrapped__)
    monkeypatch.setattr(_cuda, "_too_old", _cuda._too_old.__wrapped__)
    return monkeypatch


def test_without_a_device_there_is_no_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert _cuda.availability() == Availability(False, "torch finds no CUDA device")


def test_a_torch_for_other_gpus_is_no_cuda(device):
    device.setattr(torch.version, "cuda", None)
    assert _cuda.availability() == Availability(False, "torch finds no CUDA device")


def test_missing_bindings_are_named_with_what_to_install(device):
    device.setattr(cuda_compiler, "find_spec", lambda name: None)
    found = _cuda.availability()
    assert not found.usable and "pip install 'cuda-bindings>=12.9,<14'" in found.reason
    with pytest.raises(KernelError, match="'cuda' cannot run: NVIDIA's Python bindings are not installed"):
        launch.choose_backend("cuda", "cuda")


@needs_nvrtc
def test_a_missing_nvrtc_is_named_with_what_to_install(device):
    def fails():
        raise RuntimeError("libnvrtc.so not found")

    device.setattr(cuda_compiler, "version", fails)
    found = _cuda.availability()
    assert (
        not found.usable and "(libnvrtc.so not found); install it with `pip install nvidia-cuda-nvrtc`" in found.reason
    )


@needs_nvrtc
@pytest.mark.parametrize(("driver", "usable"), [((12, 8), False), ((13, 0), True), ((13, 9), True), ((14, 0), True)])
def test_nvrtc_may_be_newer_than_the_driver_within_its_major_version_only(device, driver, usable):
    device.setattr(cuda_compiler, "version", lambda: (13, 4))
    device.setattr(_cuda, "_driver_version", lambda: driver)
    found = _cuda.availability()
    assert found.usable == usable
    if not usable:
        assert "the driver is for CUDA 12.8, NVRTC is 13.4; update the driver, or install NVRTC" in found.reason
        assert "'cuda-bindings==12.*' nvidia-cuda-nvrtc-cu12" in found.reason


def test_cuda_takes_cuda_tensors_only(device):
    device.setitem(launch._AVAILABILITY, "cuda", lambda: Availability(True, ""))
    with pytest.raises(KernelError, match="'cuda' cannot run: it runs on CUDA tensors, these lie on cpu"):
        launch.choose_backend("cuda", "cpu")


def test_auto_takes_the_first_usable_target_of_the_table(device):
    device.setitem(launch._AVAILABILITY, "cuda", lambda: Availability(True, ""))
    for order in (("cuda", "triton"), ("triton", "cuda")):
        device.setitem(launch._PREFERRED, "cuda", order)
        device.setitem(launch._AVAILABILITY, "triton", lambda: Availability(True, ""))
        assert launch.choose_backend("auto", "cuda") == order[0]
        device.setitem(launch._AVAILABILITY, "triton", lambda: Availability(False, "not today"))
        assert launch.choose_backend("auto", "cuda") == "cuda"


def test_the_source_can_be_read_without_bindings(monkeypatch):
    monkeypatch.setattr(cuda_compiler, "_nvrtc", None)
    text = generated_source([bodies.pso_towards, bodies.adamw], "cuda")
    assert 'extern "C" __global__' in text and "__fsqrt_rn" in text
    calls = [sample_call(bodies.mix, 5, dtype=torch.bfloat16, rng=generator())]
    assert "BFloat16* __restrict__ t0" in generated_source(calls, "cuda")


def test_numbers_are_packed_with_exact_types():
    calls = [sample_call(bodies.gaussian_mutation, 5, rng=generator())]
    ready = plan(calls, seed=-2, live=None, first_tile=(1 << 52) + 1)
    packed = _cuda.numbers(ready)
    assert packed[:16] == b"".join(stream.to_bytes(8, "little") for stream in ready.streams)
    assert packed[16:32] == ((1 << 52) + 1).to_bytes(8, "little") + (5).to_bytes(8, "little")
    assert packed[32:40] == bytes.fromhex("feffffffffffffff")
    struct = cuda_source.source(ready.fused).split("struct Numbers {")[1].split("};")[0]
    fields = [line.strip() for line in struct.strip().splitlines()]
    assert fields == [
        "Wide stream0;",
        "Wide stream1;",
        "long long first_tile;",
        "long long genes;",
        "Word keys[20];",
        "float scalar0;",
        "int threshold0;",
    ]


@pytest.mark.parametrize("name", BODIES)
def test_the_numbers_fill_their_struct_to_its_end(name):
    ready = plan([sample_call(BODIES[name], 5, rng=generator())], seed=1, live=None, first_tile=0)
    fields = 8 * (len(ready.streams) + 2) + 80 * bool(ready.streams) + 4 * (len(ready.scalars) + len(ready.thresholds))
    assert len(_cuda.numbers(ready)) == -(-fields // 8) * 8


def test_an_argument_is_packed_for_every_pointer_and_one_for_all_numbers():
    calls = [sample_call(bodies.gaussian_mutation, 5, rng=generator())]
    ready = plan(calls, seed=1, live=torch.tensor([5], dtype=torch.int32), first_tile=0)
    values, addresses = _cuda.parameters(ready)
    steps = [address - addresses[0] for address in addresses]
    assert steps == [0, 8, 16, 24]
    pointers = [int.from_bytes(bytes(values)[i : i + 8], "little") for i in steps[:-1]]
    assert pointers == [calls[0].target.data_ptr(), calls[0].tensors["scale"].data_ptr(), ready.live.data_ptr()]
    assert bytes(values)[steps[-1] :] == _cuda.numbers(ready)


@needs_nvrtc
def test_an_architecture_nvrtc_does_not_know_is_refused():
    with pytest.raises(KernelError, match=r"does not compile for sm_20, only for .*sm_90.*install another version"):
        cuda_compiler.compile_source("", "sm_20")


@needs_nvrtc
def test_a_source_nvrtc_refuses_is_shown_with_its_log():
    with pytest.raises(KernelError, match=r"(?s)refused a generated kernel.*kernel.cu.1.: error"):
        cuda_compiler.compile_source("nonsense", "sm_90")


@needs_nvrtc
def test_machine_code_is_compiled_once_and_anew_when_its_file_is_damaged(tmp_path, monkeypatch):
    monkeypatch.setenv("EVOWEIGHTS_CACHE", str(tmp_path))
    compile_source, compiled = cuda_compiler.compile_source, []
    monkeypatch.setattr(
        cuda_compiler, "compile_source", lambda *given: compiled.append(given) or compile_source(*given)
    )
    source = cuda_source.source(fuse_kernels([bodies.mix]))
    first = cuda_compiler.cubin(source, "sm_90")
    assert cuda_compiler.cubin(source, "sm_90") == first and len(compiled) == 1
    (path,) = cache_folder().glob("cuda_sm_90_*.cubin")
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", whole[:100] + b"?" + whole[101:]):
        path.write_bytes(damaged)
        assert cuda_compiler.cubin(source, "sm_90") == first
        assert path.read_bytes() == whole
    assert len(compiled) == 4
    cuda_compiler.cubin(source, "sm_80")
    monkeypatch.setattr(cuda_compiler, "version", lambda: (13, 99))
    cuda_compiler.cubin(source, "sm_90")
    assert len(compiled) == 6 and len(list(cache_folder().glob("*.cubin"))) == 3
    assert not list(cache_folder().glob(".*.tmp"))


@needs_nvrtc
def test_what_nvrtc_or_the_driver_refuses_is_named_with_its_reason(monkeypatch):
    failed = cuda_compiler._nvrtc().nvrtcResult.NVRTC_ERROR_OUT_OF_MEMORY
    with pytest.raises(KernelError, match="NVRTC could not take the source: NVRTC_ERROR_OUT_OF_MEMORY"):
        cuda_compiler._checked((failed,), "take the source")
    driver = SimpleNamespace(
        CUresult=SimpleNamespace(CUDA_SUCCESS=0), cuGetErrorString=lambda result: (0, b"out of memory")
    )
    monkeypatch.setattr(_cuda, "_driver", lambda: driver)
    with pytest.raises(KernelError, match="the CUDA driver could not find a kernel: CUDA_ERROR_OUT_OF_MEMORY, out of"):
        _cuda._checked((SimpleNamespace(name="CUDA_ERROR_OUT_OF_MEMORY"),), "find a kernel")


def test_other_versions_are_other_files(tmp_path, monkeypatch):
    monkeypatch.setenv("EVOWEIGHTS_CACHE", str(tmp_path))
    for version in ("1", "2"):
        kept = [
            load_or_make(lambda v=version: v.encode(), target="t", suffix=".bin", versions=(version,)) for _ in range(2)
        ]
        assert kept == [version.encode()] * 2


def with_stub(folder, **environment):
    """What `cuda_stub_driver.py` prints when the driver is the stub."""
    source = folder / "stub.cpp"
    source.write_text(stub.STUB)
    built = [COMPILER, "-shared", "-fPIC", "-w", source, "-o", folder / "libcuda.so.1", "-ldl"]
    subprocess.run([*built, "-Wl,-soname,libcuda.so.1"], check=True)
    variables = {**os.environ, "EVOWEIGHTS_CACHE": str(folder), "LD_LIBRARY_PATH": str(folder), **environment}
    variables["PYTHONPATH"] = os.pathsep.join(sys.path)
    script = Path(stub.__file__)
    return subprocess.run([sys.executable, script], env=variables, capture_output=True, text=True)


@pytest.fixture
def compiled_for_the_stub(tmp_path, monkeypatch):
    """The kernels in the cache folder: NVRTC itself must not meet the stub."""
    monkeypatch.setenv("EVOWEIGHTS_CACHE", str(tmp_path))
    for name in stub.NAMES:
        cuda_compiler.cubin(cuda_source.source(stub.planned(name)[1].fused), "sm_90")
    return tmp_path


@needs_nvrtc
@needs_compiler
@pytest.mark.skipif(platform.system() != "Linux", reason="the stub is a Linux library")
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a driver; the stub would take its place")
def test_the_driver_is_asked_to_load_once_and_to_launch_in_torch_s_context_and_stream(compiled_for_the_stub):
    done = with_stub(compiled_for_the_stub)
    assert done.returncode == 0 and done.stdout.strip() == "[true, true, true]", done.stderr
    loads = ["push 0x1000", "load ELF", "find kernel in 0x2000", "pop"]
    launches = ["push 0x1000", "launch 0x3000 2,1,1 x 128,1,1 0 0x73 (nil)", "pop"] * 2
    told = done.stderr.splitlines()
    assert told[0] == f"retain {stub.DEVICE}"
    assert told[1:] == [*loads, *launches] * len(stub.NAMES)


@needs_nvrtc
@needs_compiler
@pytest.mark.skipif(platform.system() != "Linux", reason="the stub is a Linux library")
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a driver; the stub would take its place")
def test_machine_code_the_driver_does_not_load_is_explained(compiled_for_the_stub):
    done = with_stub(compiled_for_the_stub, STUB_REFUSES="1")
    assert "KernelError: the driver (CUDA 13.0) does not load what NVRTC" in done.stderr
    assert "compiled for sm_90: CUDA_ERROR_NO_BINARY_FOR_GPU, as the test wanted; update the driver" in done.stderr
    assert done.stderr.splitlines()[:4] == [f"retain {stub.DEVICE}", "push 0x1000", "load ELF", "pop"]


@pytest.mark.parametrize("name", BODIES)
def test_a_tile_is_shared_out_whole_among_its_threads(name):
    for storage in ("float32", "bfloat16"):
        threads = threads_per_tile(fuse_kernels([BODIES[name]], storage=storage))
        assert cuda_source.THREADS % threads == 0 and 8 <= threads <= 64
