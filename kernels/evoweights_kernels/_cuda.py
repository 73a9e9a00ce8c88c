"""The CUDA target: generated CUDA C++, launched through NVIDIA's Python bindings on torch's current stream."""

import ctypes
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any

import torch

from evoweights_kernels import constants as k
from evoweights_kernels import cuda_compiler
from evoweights_kernels.availability import Availability
from evoweights_kernels.cuda_source import THREADS, source
from evoweights_kernels.cuda_tile import threads_per_tile
from evoweights_kernels.errors import KernelError
from evoweights_kernels.fuse import Fused
from evoweights_kernels.plan import Plan


def availability() -> Availability:
    """Whether there is a CUDA device, and what compiles for it and launches on it."""
    if torch.version.cuda is None or not torch.cuda.is_available():
        return Availability(False, "torch finds no CUDA device")
    reason = cuda_compiler.missing() or _too_old()
    return Availability(not reason, reason)


def run(plan: Plan) -> None:
    """Apply the plan's program in place; nothing is allocated on the device and nothing waited for.

    Raises:
        KernelError: the kernel cannot be compiled for this device, loaded or launched.
    """
    device = plan.tensors[0].device
    assert device.type == "cuda" and device.index is not None, device
    function = _function(plan.fused, device.index)
    values, addresses = parameters(plan)
    launch(function, -(-plan.tiles * threads_per_tile(plan.fused) // THREADS), addresses, device)
    del values  # the driver has copied them; until then the addresses point into them


def launch(function: Any, blocks: int, addresses: ctypes.Array, device: torch.device) -> None:
    """Launch so many blocks on the device's current stream; `addresses` hold that of every argument.

    Raises:
        KernelError: the driver refuses.
    """
    assert device.index is not None, device
    stream = torch.cuda.current_stream(device).cuda_stream
    with _current(device.index):
        launched = _driver().cuLaunchKernel(
            function, blocks, 1, 1, THREADS, 1, 1, 0, stream, ctypes.addressof(addresses), 0
        )
    _checked(launched, "launch a kernel")


def parameters(plan: Plan) -> tuple[ctypes.Array, ctypes.Array]:
    """The kernel's arguments as they lie in memory, and the address of each: pointers, then the numbers."""
    pointers = [tensor.data_ptr() for tensor in (*plan.tensors, *plan.tables)]
    return packed([*pointers, 0 if plan.live is None else plan.live.data_ptr()], numbers(plan))


def packed(pointers: Sequence[int], numbers: bytes) -> tuple[ctypes.Array, ctypes.Array]:
    """Pointers and behind them a struct of numbers as they lie in memory, and the address of each of these arguments."""
    whole = struct.pack(f"<{len(pointers)}Q", *pointers) + numbers
    values = (ctypes.c_char * len(whole)).from_buffer_copy(whole)
    first = ctypes.addressof(values)
    count = len(pointers) + 1
    return values, (ctypes.c_void_p * count)(*(first + 8 * i for i in range(count)))


def numbers(plan: Plan) -> bytes:
    """The struct `Numbers` of the generated source: 8-byte fields first, so that only its end is padded."""
    wide = struct.pack(f"<{len(plan.streams)}Q2q", *plan.streams, plan.first_tile, plan.genes)
    keys = round_keys(plan.seed) if plan.streams else ()
    layout = f"<{len(keys)}I{len(plan.scalars)}f{len(plan.thresholds)}i"
    narrow = struct.pack(layout, *keys, *plan.scalars, *plan.thresholds)
    return wide + narrow + bytes(len(narrow) % 8)


def round_keys(seed: int) -> tuple[int, ...]:
    """Both key words of each Philox round: made here once, where every lane of a GPU would add them up again."""
    pairs = (
        ((seed + i * k.KEY_STEP_0) & k.MASK32, ((seed >> 32) + i * k.KEY_STEP_1) & k.MASK32) for i in range(k.ROUNDS)
    )
    return tuple(word for pair in pairs for word in pair)


@cache
def _function(fused: Fused, index: int) -> Any:
    """The kernel of a fused program, loaded on one device for the life of the process."""
    return load(source(fused), index)


def load(text: str, index: int) -> Any:
    """The function `kernel` of a CUDA C++ text, compiled for and loaded on one device for the life of the process.

    Raises:
        KernelError: it cannot be compiled or loaded, or a CUDA graph is being captured.
    """
    if torch.cuda.is_current_stream_capturing():
        raise KernelError("a kernel's first launch loads it, which a CUDA graph cannot capture; launch it once before")
    major, minor = torch.cuda.get_device_capability(index)
    machine_code = cuda_compiler.cubin(text, f"sm_{major}{minor}")
    with _current(index):
        loaded = _driver().cuModuleLoadData(machine_code)
        if loaded[0] != _driver().CUresult.CUDA_SUCCESS:
            raise KernelError(
                f"the driver (CUDA {_dotted(_driver_version())}) does not load what NVRTC"
                f" {_dotted(cuda_compiler.version())} compiled for sm_{major}{minor}: {_reason(loaded[0])};"
                f" update the driver, or install NVRTC of the driver's version, or use the backend 'triton'"
            )
        (function,) = _checked(_driver().cuModuleGetFunction(loaded[1], b"kernel"), "find a kernel")
    return function


@contextmanager
def _current(index: int) -> Iterator[None]:
    """Within it the thread uses torch's context of the device; afterwards what it used before."""
    _checked(_driver().cuCtxPushCurrent(_context(index)), "enter torch's context")
    try:
        yield
    finally:
        _checked(_driver().cuCtxPopCurrent(), "leave torch's context")


@cache
def _context(index: int) -> Any:
    """The device's primary context, which is torch's; held for the life of the process."""
    torch.cuda.init()
    _checked(_driver().cuInit(0), "start")
    (device,) = _checked(_driver().cuDeviceGet(index), f"find device {index}")
    (context,) = _checked(_driver().cuDevicePrimaryCtxRetain(device), f"enter device {index}")
    return context


@cache
def _too_old() -> str:
    """Why the driver cannot load what NVRTC makes; empty if it can.

    Machine code runs on every driver of its major version and later ones, whatever the minor versions.
    """
    compiler, driver = cuda_compiler.version(), _driver_version()
    if compiler[0] <= driver[0]:
        return ""
    return (
        f"the driver is for CUDA {_dotted(driver)}, NVRTC is {_dotted(compiler)}; update the driver, or install NVRTC"
        f" for it: `pip install 'cuda-bindings=={driver[0]}.*' nvidia-cuda-nvrtc-cu{driver[0]}`"
    )


def _driver_version() -> tuple[int, int]:
    (number,) = _checked(_driver().cuDriverGetVersion(), "tell its version")
    return number // 1000, number % 1000 // 10


def _dotted(version: tuple[int, int]) -> str:
    return "{}.{}".format(*version)


def _checked(returned: Any, what: str) -> tuple[Any, ...]:
    """What a call of the driver returns behind its error code."""
    result, *values = returned
    if result != _driver().CUresult.CUDA_SUCCESS:
        raise KernelError(f"the CUDA driver could not {what}: {_reason(result)}")
    return tuple(values)


def _reason(result: Any) -> str:
    return f"{result.name}, {(_driver().cuGetErrorString(result)[1] or b'no description').decode()}"


@cache
def _driver() -> Any:
    """NVIDIA's bindings, a compiled module without types."""
    return import_module("cuda.bindings.driver")
