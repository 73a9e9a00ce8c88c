"""G20: an operator takes no memory that grows with the genome, and keeps none from call to call."""

import ctypes
import gc
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from evoweights.operators import GeneOperator
from evoweights.population import Population
from evoweights.testing.grounds import label
from evoweights.testing.populations import CPU, flat_layout, vary_
from evoweights.testing.strategies import DTYPES
from evoweights_kernels import Gene, gene_kernel
from operators_under_test import operators

GENES, FEW = 32 * 2**20, 2**18
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
TRIM = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""Gives back what was freed, so that memory taken from it counts."""

measurable = pytest.mark.skipif(
    not CLEAR.exists() or TRIM is None, reason="only Linux with glibc tells the peak of a part of a process"
)


def kilobytes(name):
    return next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith(name))


def settled(operator, genes, dtype):
    """Two individuals, every page of theirs in memory."""
    population = Population(flat_layout(genes, dtype), 2, home="host", device=CPU, folder=Path(), slots=operator.slots)
    for row in range(2):
        for name in ("weights", *(slot.name for slot in operator.slots)):
            population.row(row, name).fill_(row + 0.5)
    return population


def now():
    gc.collect()
    TRIM(0)
    return kilobytes("VmRSS")


def extra_at_peak(operator, dtype):
    """Kilobytes that a call takes beside the population at most; what it takes for a small genome, it takes anyway.

    The lowest of three: what the first call of a process loads, and what the interpreter takes at any time, is not
    the operator's.
    """
    vary_(settled(operator, FEW, dtype), operator, backend="cpu")  # compiles the body for one thread and for many
    vary_(settled(operator, 4096, dtype), operator, backend="cpu")
    return min(_extra(operator, GENES, dtype) for _ in range(3)) - _extra(operator, 4096, dtype)


def _extra(operator, genes, dtype):
    population = settled(operator, genes, dtype)
    before = now()
    CLEAR.write_text("5")  # the peak starts anew
    vary_(population, operator, backend="cpu")
    return kilobytes("VmHWM") - before


def growth(operator, calls):
    """Kilobytes that are still there after so many calls."""
    population = settled(operator, FEW, torch.float32)
    for _ in range(5):
        vary_(population, operator, backend="cpu")
    before = now()
    for generation in range(calls):
        vary_(population, operator, backend="cpu", generation=generation)
    return now() - before


def all_extras():
    """What every operator takes at most in each type, by their names."""
    return {f"{label(each)} {dtype}": extra_at_peak(each, dtype) for each in operators() for dtype in DTYPES}


@pytest.fixture(scope="module")
def extras():
    """Measured in a process of its own: one that has run a thousand tests takes back what was trimmed, at any time."""
    script = "import json, test_operator_memory as measuring; print(json.dumps(measuring.all_extras()))"
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@measurable
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("operator", list(operators()), ids=label)
def test_an_operator_takes_at_most_one_percent_of_a_genome_beside_it(extras, operator, dtype):
    assert extras[f"{label(operator)} {dtype}"] <= 0.01 * GENES * dtype.itemsize / 1024


@measurable
@pytest.mark.parametrize("operator", list(operators()), ids=label)
def test_a_hundred_calls_leave_nothing_behind(operator):
    """Less than a hundredth of the genome a call; what is compiled once is not compiled again."""
    assert growth(operator, 100) < FEW * 4 / 1024


def halved(x: Gene, leader: Gene):
    return leader + (x - leader) * 0.5


@dataclass(frozen=True)
class Greedy(GeneOperator):
    """Looks at a copy of the genome."""

    name, source, kernel = "greedy", "a test", gene_kernel(halved)

    def tile_scalars(self, layout, target):
        (target * 1.0).mean()
        return {}


@dataclass(frozen=True)
class Hoarding(GeneOperator):
    """Has a new kernel each time it is asked for it, so that it is compiled anew."""

    name, source = "hoarding", "a test"

    @property
    def kernel(self):
        return gene_kernel(halved)


@measurable
def test_the_measurements_notice_a_copy_and_a_leak():
    assert extra_at_peak(Greedy(), torch.float32) > 0.9 * GENES * 4 / 1024
    assert growth(Hoarding(), 20) > 0.2 * FEW * 4 / 1024
