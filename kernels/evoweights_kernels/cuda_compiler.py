"""NVRTC: CUDA C++ to the machine code of one GPU architecture, kept in the cache folder. Needs no GPU and no nvcc."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, final

from evoweights_kernels.cache import load_or_make
from evoweights_kernels.errors import KernelError

OPTIONS = ("--std=c++17", "--fmad=false", "--ftz=false", "--prec-div=true", "--prec-sqrt=true")
"""Nothing is contracted, flushed to zero or approximated: these are part of the bits."""


@final
@dataclass(frozen=True)
class Compilation:
    """Machine code, and the PTX it was assembled from."""

    cubin: bytes
    ptx: str


@cache
def missing() -> str:
    """What is not installed, and how to install it; empty if NVRTC can be used."""
    if find_spec("cuda") is None or find_spec("cuda.bindings") is None:
        return "NVIDIA's Python bindings are not installed; install them with `pip install 'cuda-bindings>=12.9,<14'`"
    try:
        version()
    except (RuntimeError, OSError) as error:
        return (
            f"the bindings find no NVRTC ({str(error).strip()}); install it with `pip install nvidia-cuda-nvrtc`,"
            " or nvidia-cuda-nvrtc-cu12 for a driver of CUDA 12"
        )
    return ""


@cache
def version() -> tuple[int, int]:
    """NVRTC's major and minor version."""
    major, minor = _checked(_nvrtc().nvrtcVersion(), "tell its version")
    return major, minor


def cubin(source: str, architecture: str) -> bytes:
    """Machine code for an architecture such as `sm_90`: from the cache folder, or compiled now and kept there.

    Raises:
        KernelError: NVRTC does not know the architecture, or the folder cannot be written.
    """
    return load_or_make(
        lambda: compile_source(source, architecture).cubin,
        target=f"cuda_{architecture}",
        suffix=".cubin",
        versions=("NVRTC {}.{}".format(*version()), *OPTIONS, source),
    )


def compile_source(source: str, architecture: str) -> Compilation:
    """Compile now.

    Raises:
        KernelError: NVRTC does not know the architecture, or refuses the source.
    """
    (numbers,) = _checked(_nvrtc().nvrtcGetSupportedArchs(), "list its architectures")
    known = [f"sm_{number}" for number in numbers]
    if architecture not in known:
        raise KernelError(
            f"NVRTC {'{}.{}'.format(*version())} does not compile for {architecture}, only for {', '.join(known)};"
            " install another version of NVRTC, or use the backend 'triton'"
        )
    (program,) = _checked(_nvrtc().nvrtcCreateProgram(source.encode(), b"kernel.cu", 0, [], []), "take the source")
    options = [option.encode() for option in (f"--gpu-architecture={architecture}", *OPTIONS)]
    try:
        (result,) = _nvrtc().nvrtcCompileProgram(program, len(options), options)
        if result != _nvrtc().nvrtcResult.NVRTC_SUCCESS:
            log = _output(program, _nvrtc().nvrtcGetProgramLogSize, _nvrtc().nvrtcGetProgramLog)
            raise KernelError(f"NVRTC refused a generated kernel, which is an error of this package:\n{log.decode()}")
        return Compilation(
            cubin=_output(program, _nvrtc().nvrtcGetCUBINSize, _nvrtc().nvrtcGetCUBIN),
            ptx=_output(program, _nvrtc().nvrtcGetPTXSize, _nvrtc().nvrtcGetPTX).decode(),
        )
    finally:
        _nvrtc().nvrtcDestroyProgram(program)


def _output(program: Any, size: Callable[[Any], Any], fetch: Callable[[Any, bytes], Any]) -> bytes:
    (length,) = _checked(size(program), "hand over its output")
    output = b" " * length  # written into by the bindings
    _checked(fetch(program, output), "hand over its output")
    return output


def _checked(returned: Any, what: str) -> tuple[Any, ...]:
    """What a call of NVRTC returns behind its error code."""
    result, *values = returned
    if result != _nvrtc().nvrtcResult.NVRTC_SUCCESS:
        raise KernelError(f"NVRTC could not {what}: {_nvrtc().nvrtcGetErrorString(result)[1].decode()}")
    return tuple(values)


@cache
def _nvrtc() -> Any:
    """NVIDIA's bindings, a compiled module without types."""
    return import_module("cuda.bindings.nvrtc")
