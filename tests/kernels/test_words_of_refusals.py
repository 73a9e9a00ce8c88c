"""What targets say where they cannot run, what is said of the driver and the compiler, and of a body that cannot be traced."""

import importlib.util
from types import SimpleNamespace

import pytest
import torch

from evoweights_kernels import Gene, KernelError, _cuda, _triton, backends, choose_backend, cpu, gene_kernel
from evoweights_kernels import cuda_compiler as compiler

SUPPORTED = "allowed are + - * /, unary -, comparisons, & | ~ on conditions, where, minimum, maximum, absolute, sqrt"
REFUSED = " is not supported on a traced value; "
PLAIN_TORCH = "a gene kernel sees one gene; write plain torch code instead"


@pytest.fixture(autouse=True)
def nothing_is_remembered():
    yield
    cpu.availability.cache_clear()
    _triton.is_installed.cache_clear()


@pytest.mark.parametrize(("package", "target"), [("numba", "cpu"), ("triton", "triton")])
def test_what_is_not_installed_is_named_with_the_command_that_installs_it(monkeypatch, package, target):
    true = importlib.util.find_spec
    cpu.availability.cache_clear()
    _triton.is_installed.cache_clear()
    for module in (cpu, _triton):
        monkeypatch.setattr(module, "find_spec", lambda name: None if name == package else true(name))
    found = backends()[target]
    capital = {"numba": "Numba", "triton": "Triton"}[package]
    assert not found.usable
    assert found.reason == f"{capital} is not installed; install it with `pip install {package}`"
    words = {"cpu": "Numba is not installed", "triton": "Triton is not installed"}[target]
    with pytest.raises(KernelError, match=f"cannot run: {words}"):
        choose_backend(target, "cpu")


def test_triton_without_a_device_says_what_it_waits_for(monkeypatch):
    monkeypatch.setattr(_triton, "is_interpreted", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert backends()["triton"].reason == "torch finds no CUDA device, and TRITON_INTERPRET=1 is not set"


def test_tensors_of_another_device_are_refused_with_both_ways_out(monkeypatch):
    usable = SimpleNamespace(usable=True, reason="")
    monkeypatch.setattr("evoweights_kernels.launch._AVAILABILITY", {"cuda": lambda: usable, "triton": lambda: usable})
    monkeypatch.setattr(_triton, "is_interpreted", lambda: False)
    with pytest.raises(KernelError, match="CUDA tensors, these lie on cpu; move them or choose 'cpu'"):
        choose_backend("cuda", "cpu")
    with pytest.raises(KernelError, match="lie on cpu; choose 'cpu', or set TRITON_INTERPRET=1 to test"):
        choose_backend("triton", "cpu")


ASKED = {
    "cuCtxPushCurrent": "enter torch's context",
    "cuCtxPopCurrent": "leave torch's context",
    "cuInit": "start",
    "cuDeviceGet": "find device 3",
    "cuDevicePrimaryCtxRetain": "enter device 3",
    "cuDriverGetVersion": "tell its version",
    "cuLaunchKernel": "launch a kernel",
}


@pytest.mark.parametrize("refused", ASKED)
def test_what_the_driver_could_not_do_is_named(monkeypatch, refused):
    bad = SimpleNamespace(name="CUDA_ERROR_UNKNOWN")

    def answer(name):
        return lambda *given: (bad if name == refused else 0, *([0] if name not in ("cuCtxPushCurrent",) else []))

    driver = SimpleNamespace(**{name: answer(name) for name in ASKED})
    driver.CUresult, driver.cuGetErrorString = SimpleNamespace(CUDA_SUCCESS=0), lambda result: (0, b"as it was wanted")
    monkeypatch.setattr(_cuda, "_driver", lambda: driver)
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=0))
    _cuda._context.cache_clear()
    with pytest.raises(KernelError) as caught:
        _cuda._driver_version()
        _cuda.launch(None, 1, (_cuda.ctypes.c_void_p * 1)(), torch.device("cuda", 3))
    _cuda._context.cache_clear()
    assert str(caught.value) == f"the CUDA driver could not {ASKED[refused]}: CUDA_ERROR_UNKNOWN, as it was wanted"


@pytest.mark.parametrize(("call", "what"), [
    ("nvrtcVersion", "tell its version"),
    ("nvrtcGetSupportedArchs", "list its architectures"),
    ("nvrtcCreateProgram", "take the source"),
    ("nvrtcGetCUBINSize", "hand over its output"),
    ("nvrtcGetCUBIN", "hand over its output"),
])  # fmt: skip
def test_what_the_compiler_could_not_do_is_named(monkeypatch, call, what):
    answers = {"nvrtcVersion": (13, 0), "nvrtcGetSupportedArchs": ([90],), "nvrtcCreateProgram": (None,)}
    answers |= {"nvrtcCompileProgram": (), "nvrtcGetCUBINSize": (1,), "nvrtcGetCUBIN": ()}
    answers |= {"nvrtcGetPTXSize": (1,), "nvrtcGetPTX": (), "nvrtcDestroyProgram": ()}

    def answer(name):
        return lambda *given: (1 if name == call else 0, *answers[name])

    nvrtc = SimpleNamespace(**{name: answer(name) for name in answers})
    nvrtc.nvrtcResult, nvrtc.nvrtcGetErrorString = (
        SimpleNamespace(NVRTC_SUCCESS=0),
        lambda result: (0, b"it was wanted"),
    )
    monkeypatch.setattr(compiler, "_nvrtc", lambda: nvrtc)
    compiler.version.cache_clear()
    with pytest.raises(KernelError) as caught:
        compiler.version()
        compiler.compile_source("", "sm_90")
    compiler.version.cache_clear()
    assert str(caught.value) == f"NVRTC could not {what}: it was wanted"


@pytest.mark.parametrize(("body", "says"), [
    (lambda x, other: x if x > 0 else other, "use where(condition, a, b), minimum or maximum"),
    (lambda x, other: float(x) + other, f"conversion to a Python number (math.*, float(), int()){REFUSED}{SUPPORTED}"),
    (lambda x, other: x % other, SUPPORTED),
    (lambda x, other: x @ other, f"`@`{REFUSED}{PLAIN_TORCH}"),
    (lambda x, other: x ^ other, f"a bit operation{REFUSED}{SUPPORTED}"),
    (lambda x, other: x[0], f"indexing{REFUSED}{PLAIN_TORCH}"),
    (lambda x, other: sum(x), f"iteration{REFUSED}{PLAIN_TORCH}"),
])  # fmt: skip
def test_what_no_target_can_do_is_refused_with_what_can_be_done(body, says):
    body.__annotations__ = {"x": Gene, "other": Gene}
    with pytest.raises(KernelError) as caught:
        gene_kernel(body).trace()
    assert str(caught.value).endswith(says)
