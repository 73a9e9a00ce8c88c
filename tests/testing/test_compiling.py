"""A check compiles an operator's kernel once for each type of weights, and says what that took apart from the rest."""

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import ClassVar

import pytest
from zoo_general import Kernel

from evoweights import Chance, Gene, Scalar, Traits, Uniform, gene_kernel, where
from evoweights.testing import check_operator, check_selection
from evoweights_classic import Best
from evoweights_kernels.cache import VARIABLE, cache_folder


@gene_kernel
def drawn_towards(x: Gene, leader: Gene, sigma: Scalar, rate: Chance, r: Uniform):
    return where(rate, x + sigma * (2.0 * r - 1.0), x)


@dataclass(frozen=True)
class Shakes(Kernel):
    """Uniform noise on some genes."""

    traits: ClassVar[Traits] = Traits(
        "mutation", stochastic=True, gene_wise=True, translates=True, rate="rate", scale="sigma", law="uniform"
    )
    kernel = drawn_towards
    sigma: float = 0.1
    rate: float = 0.5


@gene_kernel
def between_them(x: Gene, leader: Gene, pull: Scalar):
    return 0.75 * x + 0.25 * leader + 0.0 * pull


@dataclass(frozen=True)
class Averages(Kernel):
    """Draws no numbers."""

    traits: ClassVar[Traits] = Traits("crossover", stochastic=False, gene_wise=True)
    kernel = between_them


@pytest.mark.parametrize("operator", [Shakes(), Averages()], ids=lambda each: type(each).__name__)
def test_each_type_of_weights_has_its_kernel_compiled_once(operator, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    first = check_operator(operator, profile="quick", on_fail=None)
    assert len([*cache_folder().glob("*.py")]) == 2
    assert first.compiling > 0.0
    assert first.values()["compiling"] == round(first.compiling, 2)
    assert " to compile" in str(first).replace("\n", " ")
    again = check_operator(operator, profile="quick", on_fail=None)
    assert again.compiling == 0.0


def test_what_has_no_kernel_compiles_nothing():
    report = check_selection(Best(), profile="quick")
    assert report.compiling == 0.0 and "compile" not in str(report)


FRESH = """
from evoweights.testing import check_operator
from evoweights_classic import Crossover
report = check_operator(Crossover(), profile="quick")
print(report.compiling, sum(each.compiling > 0 for each in report.results), report.seconds > 0.0)
"""


def test_in_a_fresh_process_the_import_of_the_compiler_does_not_count(tmp_path):
    environment = os.environ | {VARIABLE: str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    told = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", FRESH], env=environment, capture_output=True, text=True, check=True
        )
        told.append(done.stdout.split())
    assert float(told[0][0]) > 0.0
    assert (float(told[1][0]), told[1][1:]) == (0.0, ["0", "True"])
