"""What the compilers make of the sums of noise: vectors on the CPU, wide access on a GPU, nowhere a contraction."""

import os
import platform
import re
import subprocess
import sys

import pytest
import torch

from evoweights_kernels import add_weighted_noise_
from evoweights_kernels.weighted_noise import cpu
from evoweights_kernels.weighted_noise.request import Shape

PLAIN = Shape("float32", None, 32, False, False)
RICH = Shape("bfloat16", "float32", 16, True, True)

GPU_SCRIPT = """
import sys, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from evoweights_kernels.cache import load_module
from evoweights_kernels.weighted_noise import triton as target
from evoweights_kernels.weighted_noise.request import Shape

for shape in (Shape("float32", None, 32, False, False), Shape("bfloat16", "float32", 16, True, True)):
    kernel = load_module(target.source(shape), target="triton", versions=("test",)).kernel
    pointers = {"float32": "*fp32", "bfloat16": "*i16"}
    signature = {"x": pointers[shape.storage], "base": pointers[shape.base or shape.storage]}
    signature |= {"scale": "*fp32", "live": "*i32", "table": "*i32"} | {name: "i32" for name in target.INTEGERS}
    signature |= {"TILES": "constexpr", "HAS_LIVE": "constexpr", "HAS_SCALE": "constexpr"}
    aligned = {(i,): [["tt.divisibility", 16]] for i in range(5)}
    constants = {"TILES": target.tiles_per_program(shape), "HAS_LIVE": True, "HAS_SCALE": True}
    source = ASTSource(kernel, signature, constants, attrs=aligned)
    options = {"enable_fp_fusion": False, "num_warps": 4}
    sys.stdout.write(triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options).asm["ptx"])
"""

MEMORY_SCRIPT = """
import sys, torch
from pathlib import Path
from evoweights_kernels import add_weighted_noise_
status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
def kilobytes(name):
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(name))
x = torch.ones(32 << 20)
members = {"streams": range(8), "weights": [0.1] * 8, "seed": 1}
add_weighted_noise_(x[: 1 << 20], **members)
def extra():
    before = kilobytes("VmRSS")
    clear.write_text("5")
    add_weighted_noise_(x, **members)
    return kilobytes("VmHWM") - before
sys.stdout.write(str(min(extra() for _ in range(2)) * 1024 / x.nbytes))
"""


def run(script, **environment):
    variables = {**os.environ, **environment, "PYTHONPATH": os.pathsep.join(sys.path)}
    variables = {name: value for name, value in variables.items() if value is not None}
    done = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="looks for x86 instructions")
@pytest.mark.parametrize("shape", (PLAIN, RICH), ids=("plain", "rich"))
def test_the_cpu_kernel_is_vectorised_and_contracts_nothing(shape):
    namespace = {}
    exec(compile(cpu.source(shape).replace("cache=True", "cache=False"), "<generated>", "exec"), namespace)
    (assembly,) = namespace["kernel"].inspect_asm().values()
    sources = 1 + shape.has_mask + shape.is_stochastic
    assert len(re.findall(r"\bv?pmuludq\b", assembly)) >= 18 * sources, "Philox is not vectorised"
    assert re.search(r"\bv?sqrtps\b", assembly), "the normals are not vectorised"
    assert not re.search(r"\bvfn?m(add|sub)\w*", assembly), "a multiplication and an addition were contracted"


@pytest.mark.skipif(platform.system() != "Linux", reason="Triton's compiler ships for Linux")
def test_the_triton_kernel_compiles_without_a_gpu_loads_wide_and_contracts_nothing():
    ptx = run(GPU_SCRIPT, TRITON_INTERPRET=None)
    assert ptx.count(".entry kernel") == 2
    assert "ld.global.v4" in ptx and "st.global.v4" in ptx and "sqrt.rn.f32" in ptx
    for wrong in ("fma.", "approx", ".ftz", ".full"):
        assert wrong not in ptx, wrong


@pytest.mark.skipif(platform.system() != "Linux", reason="only Linux tells the peak of a part of a process")
def test_it_takes_less_than_a_hundredth_of_the_weights_beside_them():
    assert float(run(MEMORY_SCRIPT)) <= 0.01


def test_one_compiled_kernel_serves_every_number_of_members():
    cpu.compiled.cache_clear()
    x = torch.zeros(1500)
    for count in (1, 2, 7, 1000):
        add_weighted_noise_(x, streams=range(count), weights=[1e-3] * count, seed=1, backend="cpu")
    assert cpu.compiled.cache_info().misses == 1
