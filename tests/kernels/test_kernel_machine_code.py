"""What the compilers make of the generated code: vectors on the CPU, wide access on a GPU, nowhere a contraction."""

import os
import platform
import re
import subprocess
import sys

import pytest

from evoweights_kernels import bodies, cpu_source
from evoweights_kernels.fuse import fuse_kernels

GPU_SCRIPT = """
import re, sys, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from evoweights_kernels import bodies, triton_source
from evoweights_kernels.cache import load_module
from evoweights_kernels.fuse import fuse_kernels

fused = fuse_kernels([bodies.pso_towards, bodies.adamw])
kernel = load_module(triton_source.source(fused), target="triton", versions=("test",)).kernel
names = [f"t{i}" for i in range(len(fused.slots))]
signature = {name: "*fp32" for name in names} | {"live": "*i32"}
signature |= {name: "i32" for name in triton_source.integer_arguments(fused)}
signature |= {"TILES": "constexpr", "HAS_LIVE": "constexpr"}
aligned = {(i,): [["tt.divisibility", 16]] for i in range(len(names))}
source = ASTSource(kernel, signature, {"TILES": 4, "HAS_LIVE": True}, attrs=aligned)
options = {"enable_fp_fusion": False, "num_warps": 4}
print(triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options).asm["ptx"])
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="looks for x86 instructions")
def test_the_cpu_kernel_is_vectorised_and_contracts_nothing():
    fused = fuse_kernels([bodies.pso_towards, bodies.uniform_crossover])
    namespace = {}
    uncached = cpu_source.source(fused).replace("cache=True", "cache=False")
    exec(compile(uncached, "<generated>", "exec"), namespace)
    (assembly,) = namespace["kernel"].inspect_asm().values()
    assert len(re.findall(r"\bv?pmuludq\b", assembly)) >= 18, "Philox is not vectorised"
    assert re.search(r"\bv?sqrtps\b", assembly), "the normals are not vectorised"
    assert not re.search(r"\bvfn?m(add|sub)\w*", assembly), "a multiplication and an addition were contracted"


@pytest.mark.skipif(platform.system() != "Linux", reason="Triton's compiler ships for Linux")
def test_the_gpu_kernel_compiles_without_a_gpu_loads_wide_and_contracts_nothing():
    variables = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    variables["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run([sys.executable, "-c", GPU_SCRIPT], env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ptx = done.stdout
    assert "ld.global.v4" in ptx and "st.global.v4" in ptx, "full tiles are not read 128 bits at a time"
    assert "div.rn.f32" in ptx and "sqrt.rn.f32" in ptx
    for wrong in ("fma.", "approx", ".ftz", ".full"):
        assert wrong not in ptx, wrong
