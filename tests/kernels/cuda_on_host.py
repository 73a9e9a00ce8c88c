"""The text of a CUDA kernel, compiled by the system's C++ compiler and run thread by thread.

The kernels share nothing between threads, so running one thread after the other does what a GPU does: indices, masks,
noise and arithmetic are tested as they are generated, byte for byte the text NVRTC gets, and the packed arguments too.
"""

import ctypes
import shutil
import subprocess
from functools import cache
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from evoweights_kernels import _cuda, cuda_source, cuda_tile
from evoweights_kernels.plan import plan

COMPILER = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler (c++, g++ or clang++) is installed")

# Without the flags that let a compiler contract, reorder or assume: IEEE 754 arithmetic in float32.
FLAGS = ("-std=c++17", "-O2", "-ffp-contract=off", "-fno-fast-math", "-fno-strict-aliasing", "-fPIC", "-shared", "-w")

BUILTINS = """
#include <cmath>
#include <cstring>
#define __global__
#define __device__
#define __grid_constant__
#define __launch_bounds__(...)
#define __forceinline__ inline
#define __restrict__ __restrict
struct alignas(16) uint4 { unsigned int x, y, z, w; };
struct { unsigned int x, y, z; } blockIdx, threadIdx;
template <typename To, typename From> static To bits_as(From from) { To to; memcpy(&to, &from, sizeof to); return to; }
static unsigned int __float_as_uint(float x) { return bits_as<unsigned int>(x); }
static float __uint_as_float(unsigned int x) { return bits_as<float>(x); }
static float __fadd_rn(float a, float b) { return a + b; }
static float __fsub_rn(float a, float b) { return a - b; }
static float __fmul_rn(float a, float b) { return a * b; }
static float __fdiv_rn(float a, float b) { return a / b; }
static float __fsqrt_rn(float a) { return std::sqrt(a); }
"""

# Takes what the driver takes, the address of every argument, and which blocks to run.
LAUNCH = """
template <typename... Arguments, size_t... I>
static void spread(void (*function)(Arguments...), void** parameters, std::index_sequence<I...>)
{
    function(*(typename std::decay<Arguments>::type*)parameters[I]...);
}
template <typename... Arguments> static void call(void (*function)(Arguments...), void** parameters)
{
    spread(function, parameters, std::index_sequence_for<Arguments...>{});
}
extern "C" void launch(unsigned int first_block, unsigned int blocks, unsigned int threads, void** parameters)
{
    for (blockIdx.x = first_block; blockIdx.x < first_block + blocks; ++blockIdx.x)
        for (threadIdx.x = 0; threadIdx.x < threads; ++threadIdx.x) call(kernel, parameters);
}
"""


@cache
def folder():
    """Removed when the process ends."""
    return TemporaryDirectory(prefix="evoweights-cuda-", ignore_cleanup_errors=True)


@cache
def library(source):
    """The source as a loaded library."""
    path = Path(folder().name) / f"{blake2b(source.encode(), digest_size=8).hexdigest()}.so"
    whole = "#include <utility>\n#include <cstddef>\n#include <type_traits>\n" + BUILTINS + source + LAUNCH
    done = subprocess.run(
        [COMPILER, *FLAGS, "-x", "c++", "-", "-o", str(path)], input=whole, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(path))


def run_on_host(calls, *, seed, live=None, first_tile=0):
    """Apply the calls in place, as `apply_` does on a GPU."""
    planned = plan(calls, seed=seed, live=live, first_tile=first_tile)
    if planned.genes == 0:
        return
    values, addresses = _cuda.parameters(planned)
    blocks = -(-planned.tiles * cuda_tile.threads_per_tile(planned.fused) // cuda_source.THREADS)
    library(cuda_source.source(planned.fused)).launch(0, blocks, cuda_source.THREADS, addresses)
    del values


def run_as_the_end_of_a_long_tensor(calls, *, seed, live, tiles_before):
    """Apply the calls as if `tiles_before` tiles, which nobody touches, came before their tensors and live table."""
    planned = plan(calls, seed=seed, live=live, first_tile=0)
    assert not planned.tables
    _, addresses = _cuda.parameters(planned)
    starts = [tensor.data_ptr() - 1024 * tiles_before * tensor.element_size() for tensor in planned.tensors]
    starts.append(live.data_ptr() - tiles_before * 4)
    for address, start in zip(addresses, starts, strict=False):
        ctypes.c_uint64.from_address(address).value = start % 2**64
    genes = ctypes.c_int64.from_address(addresses[-1] + 8 * (len(planned.streams) + 1))
    assert genes.value == planned.genes
    genes.value += 1024 * tiles_before
    tiles_per_block = cuda_source.THREADS // cuda_tile.threads_per_tile(planned.fused)
    assert tiles_before % tiles_per_block == 0
    first, blocks = tiles_before // tiles_per_block, -(-planned.tiles // tiles_per_block)
    library(cuda_source.source(planned.fused)).launch(first, blocks, cuda_source.THREADS, addresses)
