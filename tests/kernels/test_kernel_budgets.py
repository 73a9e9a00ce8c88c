"""How many instructions a gene costs on a GPU, counted in the machine code, for which no GPU is needed."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

BUDGETS = {
    "crossover, 8 bits": 16,
    "stochastic rounding": 18 + 1,  # and the multiplication that makes something to round
    "gaussian noise": 62,
    "adamw, stochastic rounding": 85,
}
"""Instructions per gene that an H200 still hides behind memory, or nearly so (132 SMs, 128 instructions a clock)."""

MEASURED = {"crossover, 16 bits": 20, "adamw": 60, "pso": 75, "event": 175, "event in bfloat16": 225}
"""What the others take now, and a little more: a change that makes them dearer shows."""


@pytest.fixture(scope="module")
def counts():
    variables = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    variables["PYTHONPATH"] = os.pathsep.join(sys.path)
    script = Path(__file__).with_name("sass.py")
    done = subprocess.run([sys.executable, str(script)], env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(platform.system() != "Linux", reason="Triton's compiler ships for Linux")
@pytest.mark.parametrize(("kernel", "budget"), (BUDGETS | MEASURED).items())
def test_a_triton_kernel_keeps_its_budget_of_instructions(counts, kernel, budget):
    assert counts[kernel]["instructions_per_gene"] <= budget


@pytest.mark.skipif(platform.system() != "Linux", reason="Triton's compiler ships for Linux")
@pytest.mark.parametrize("kernel", BUDGETS | MEASURED)
def test_every_gene_is_read_and_written_128_bits_at_a_time(counts, kernel):
    genes = {each for each in counts[kernel]["accesses"] if each != "LDG.E"}
    assert genes == {"LDG.E.128", "STG.E.128"}, "a plain LDG.E reads a value per tile"
