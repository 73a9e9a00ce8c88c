"""Compiles generated Triton kernels for a GPU that need not be there and prints, as JSON, what the machine code holds.

Run as a program, without TRITON_INTERPRET. Only the path of full tiles is compiled: partial ones are rare.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import triton
from kernel_cases import generator, sample_call
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from evoweights_kernels import Gene, GeneKernel, bodies, gene_kernel, triton_source
from evoweights_kernels._triton import WARPS
from evoweights_kernels.cache import load_module
from evoweights_kernels.fuse import BFLOAT16, Fused
from evoweights_kernels.plan import plan

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)")


@gene_kernel
def scaled(x: Gene) -> Gene:
    """One multiplication: what is left is the rounding of the store."""
    return x * 1.5


def fused(*kernels: GeneKernel, dtype: torch.dtype = torch.float32) -> Fused:
    """The kernels between the same individuals: moments in float32, bfloat16 targets rounded stochastically."""
    shared = {name: torch.zeros(1024, dtype=dtype) for name in ("x", "other", "leader")}
    shared |= {name: torch.zeros(1024) for name in ("first_moment", "second_moment")}
    made = [sample_call(k, 1024, dtype=dtype, rng=generator(), rounding=True, shared=shared) for k in kernels]
    return plan(made, seed=0, live=None, first_tile=0).fused


def machine_code(fused: Fused, architecture: int = 90) -> str:
    """The SASS of the path of full tiles."""
    branch = "if tl.min(count) == 1024:"
    text = triton_source.source(fused)
    assert branch in text
    kernel = load_module(text.replace(branch, "if TILES > 0:"), target="triton", versions=("full",)).kernel
    tensors = [f"t{slot}" for slot in range(len(fused.slots))]
    tables = [f"table{table}" for table in range(fused.tables)]
    signature = {name: "*i16" if kind == BFLOAT16 else "*fp32" for name, kind in zip(tensors, fused.slots, strict=True)}
    signature |= dict.fromkeys(tables, "*fp32") | {"live": "*i32"}
    signature |= dict.fromkeys(triton_source.integer_arguments(fused), "i32")
    signature |= {"TILES": "constexpr", "HAS_LIVE": "constexpr"}
    aligned = {(number,): [["tt.divisibility", 16]] for number in range(len(tensors) + len(tables))}
    constants = {"TILES": triton_source.tiles_per_program(fused), "HAS_LIVE": False}
    compiled = triton.compile(
        ASTSource(kernel, signature, constants, attrs=aligned),
        target=GPUTarget("cuda", architecture, 32),
        options={"enable_fp_fusion": False, "num_warps": WARPS},
    )
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        done = subprocess.run([TOOLS / "cuobjdump", "-sass", file.name], capture_output=True, text=True, check=True)
    return done.stdout


def counted(fused: Fused) -> dict[str, object]:
    """Instructions per gene, and the kinds of memory access."""
    found = [code for code in INSTRUCTION.findall(machine_code(fused)) if not code.startswith("NOP")]
    genes_per_thread = triton_source.tiles_per_program(fused) * 1024 // (32 * WARPS)
    return {
        "instructions_per_gene": len(found) / genes_per_thread,
        "accesses": sorted({code for code in found if code.startswith(("LDG", "STG"))}),
    }


EVENT = (bodies.pso_towards, bodies.uniform_crossover, bodies.gaussian_mutation)
CASES = {
    "crossover, 8 bits": fused(bodies.uniform_crossover_8),
    "crossover, 16 bits": fused(bodies.uniform_crossover),
    "gaussian noise": fused(bodies.gaussian_mutation_of_all),
    "stochastic rounding": fused(scaled, dtype=torch.bfloat16),
    "adamw, stochastic rounding": fused(bodies.adamw, dtype=torch.bfloat16),
    "adamw": fused(bodies.adamw),
    "pso": fused(bodies.pso),
    "event": fused(*EVENT),
    "event in bfloat16": fused(*EVENT, dtype=torch.bfloat16),
}

if __name__ == "__main__":
    json.dump({name: counted(program) for name, program in CASES.items()}, sys.stdout, indent=2)
