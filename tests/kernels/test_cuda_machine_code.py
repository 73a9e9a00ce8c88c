"""What NVRTC makes of the generated CUDA C++: it compiles without a GPU, loads wide, contracts nothing, stays short."""

import re
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from kernel_cases import BODIES, generator, sample_call
from test_kernel_launches import event

from evoweights_kernels import Call, Gene, Normal, Scalar, bodies, cuda_compiler, cuda_source, gene_kernel
from evoweights_kernels.fuse import fuse_kernels
from evoweights_kernels.plan import plan

ARCHITECTURES = ("sm_80", "sm_90")
PIPELINES = {**{name: [kernel] for name, kernel in BODIES.items()}, "event": None}

pytestmark = pytest.mark.skipif(bool(cuda_compiler.missing()), reason=cuda_compiler.missing() or "NVRTC is installed")


@gene_kernel
def add_normal(x: Gene, sigma: Scalar, z: Normal) -> Gene:
    return x + sigma * z


def fused(name, storage):
    if name == "event":
        return plan(event(dtype=getattr(torch, storage)), seed=0, live=None, first_tile=0).fused
    return fuse_kernels([BODIES.get(name, add_normal)], storage=storage)


@cache
def compiled(name, storage, architecture):
    return cuda_compiler.compile_source(cuda_source.source(fused(name, storage)), architecture)


@pytest.mark.parametrize("storage", ("float32", "bfloat16"))
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", PIPELINES)
def test_every_body_compiles_reads_and_writes_128_bits_and_contracts_nothing(name, architecture, storage):
    made = compiled(name, storage, architecture)
    assert made.cubin.startswith(b"\x7fELF") and f".target {architecture}" in made.ptx
    assert re.search(r"ld\.global(\.nc)?\.v4\.[bfu]32", made.ptx) and re.search(r"st\.global\.v4\.[bfu]32", made.ptx)
    assert not re.findall(r"\bfma\.|\bmad\.f|\.ftz|\.approx|\.full", made.ptx)
    arithmetic = re.findall(r"\b(?:add|sub|mul|div|sqrt)(?:\.\w+)*\.f32", made.ptx)
    assert all(".rn" in each for each in arithmetic) and (arithmetic or "crossover" in name)
    assert "bar.sync" not in made.ptx and ".shared" not in made.ptx, "threads exchange something"


def cuobjdump():
    """The tool in Triton's wheel; None where it is missing."""
    spec = find_spec("triton")
    folder = Path(spec.origin).parent if spec and spec.origin else Path()
    tool = folder / "backends" / "nvidia" / "bin" / "cuobjdump"
    return tool if tool.is_file() else None


needs_cuobjdump = pytest.mark.skipif(cuobjdump() is None, reason="Triton's wheel, which holds cuobjdump, is missing")


def disassembled(program, tmp_path, *, part="-sass"):
    """The machine code for sm_90, without the path for partial tiles."""
    source = cuda_source.source(program)
    whole_tiles = source.replace("    else some(", "    else if (false) some(")
    assert whole_tiles != source
    path = tmp_path / "kernel.cubin"
    path.write_bytes(cuda_compiler.compile_source(whole_tiles, "sm_90").cubin)
    return subprocess.run([cuobjdump(), part, path], capture_output=True, text=True, check=True).stdout


def opcodes(program, tmp_path):
    found = re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)", disassembled(program, tmp_path))
    return [code for code in found if code != "NOP"]


def adamw_22_bytes():
    """AdamW on bfloat16 weights, rounded stochastically, with float32 moments."""
    whole = sample_call(bodies.adamw, 2048, dtype=torch.bfloat16, rng=generator(), rounding=True)
    tensors = {name: t.float() if "moment" in name else t for name, t in whole.tensors.items()}
    return plan([Call(whole.kernel, tensors, whole.scalars, whole.streams)], seed=0, live=None, first_tile=0).fused


# Genes of a thread that are written out, and the most instructions a gene may take on whole tiles.
BUDGETS = {
    "uniform_crossover_8": (lambda: fused("uniform_crossover_8", "float32"), 64, 12),
    "uniform_crossover_8, bfloat16": (lambda: fused("uniform_crossover_8", "bfloat16"), 128, 12),
    "uniform_crossover": (lambda: fused("uniform_crossover", "float32"), 32, 16),
    "normal": (lambda: fused("add_normal", "float32"), 16, 62),
    "normal, bfloat16": (lambda: fused("add_normal", "bfloat16"), 32, 67),
    "pso": (lambda: fused("pso", "float32"), 16, 68),
    "adamw": (lambda: fused("adamw", "float32"), 16, 62),
    "adamw, 22 bytes": (adamw_22_bytes, 32, 85),
}


@needs_cuobjdump
@pytest.mark.parametrize("name", BUDGETS)
def test_a_gene_takes_no_more_instructions_than_its_budget(name, tmp_path):
    program, genes, most = BUDGETS[name][0](), *BUDGETS[name][1:]
    found = opcodes(program, tmp_path)
    assert any(re.match(r"LDG.*128", code) for code in found) and any(re.match(r"STG.*128", code) for code in found)
    assert len(found) <= most * genes, f"{len(found) / genes:.1f} instructions a gene"


@needs_cuobjdump
@pytest.mark.parametrize("name", ("uniform_crossover", "arithmetic_crossover", "pso"))
def test_kernels_without_roots_and_quotients_have_no_fused_multiply_add(name, tmp_path):
    found = opcodes(fused(name, "float32"), tmp_path)
    assert "FFMA" not in {code.split(".")[0] for code in found} and not any(".FTZ" in code for code in found)


SPILLED = {("gaussian_mutation_16", "bfloat16"): 24}
"""Bytes of stack that are known to be needed."""


@needs_cuobjdump
@pytest.mark.parametrize("storage", ("float32", "bfloat16"))
@pytest.mark.parametrize("name", BODIES)
def test_no_body_needs_memory_for_its_registers(name, storage, tmp_path):
    usage = disassembled(fused(name, storage), tmp_path, part="-res-usage")
    (registers,), (stack,) = re.findall(r"REG:(\d+)", usage), re.findall(r"STACK:(\d+)", usage)
    assert int(stack) <= SPILLED.get((name, storage), 0) and int(registers) <= 65536 // (
        cuda_source.THREADS * cuda_source.BLOCKS
    )
