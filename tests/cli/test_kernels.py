"""`evoweights kernels` shows what kernels cost and what is made from them."""

import json
from pathlib import Path

import pytest
from command_line import CommandLine

from evoweights_kernels import bodies, generated_source


def test_all_kernels_are_listed_with_their_cost_and_all_backends_with_their_state(evoweights: CommandLine) -> None:
    told = json.loads(evoweights("kernels", "list", "--json").out)
    rows = {row["name"]: row for row in told["kernels"]}
    assert set(bodies.__all__) <= set(rows)
    assert (rows["adamw"]["bytes"], rows["adamw"]["philox"]) == (28, "0")
    assert (rows["pso"]["bytes"], rows["pso"]["philox"]) == (24, "1/2")
    assert set(told["backends"]) == {"reference", "cpu", "triton", "cuda"}
    assert told["backends"]["cpu"] == ""


@pytest.mark.parametrize("target", ["reference", "cpu", "triton", "cuda"])
@pytest.mark.parametrize("storage", ["float32", "bfloat16"])
def test_what_is_shown_is_what_is_generated(evoweights: CommandLine, target: str, storage: str) -> None:
    shown = evoweights("kernels", "show", "pso_towards", "mix", "--target", target, "--storage", storage)
    assert shown.out.strip() == generated_source([bodies.pso_towards, bodies.mix], target, storage=storage).strip()


def test_an_unknown_kernel_is_a_usage_error_with_the_nearest_name(evoweights: CommandLine) -> None:
    refused = evoweights("kernels", "show", "uniform_crosover")
    assert refused.code == 2
    assert "there is no kernel 'uniform_crosover'" in refused.err and "uniform_crossover" in refused.err


SETTLED = """
from dataclasses import dataclass
from evoweights import GeneOperator, hookimpl, setting
from evoweights_kernels import Gene, Scalar, gene_kernel

@gene_kernel
def gentle(x: Gene, other: Gene, amount: Scalar) -> Gene:
    "Moves a little."
    return x + amount * (other - x)

@gene_kernel
def rough(x: Gene, other: Gene, amount: Scalar) -> Gene:
    "Moves a lot."
    return other + amount * x

class Settled(GeneOperator):
    @property
    def kernel(self):
        return rough if self.amount > 1 else gentle

@dataclass(frozen=True)
class Usual(Settled):
    "Moves as its setting says."
    name, source = "usual", "me"
    amount: float = setting(0.5, "how far")

@dataclass(frozen=True)
class Demanding(Settled):
    "Is not content with its defaults, so that nobody knows its kernel."
    name, source = "demanding", "me"
    amount: float = setting(2.0, "how far")

    def __post_init__(self):
        if self.scope == "matrices":
            raise ValueError("scope: matrices will not do")

@hookimpl
def register(catalog):
    catalog.add("operator", Usual)
    catalog.add("operator", Demanding)
"""


def test_a_plugins_kernel_with_the_name_of_another_is_refused_with_what_to_do(evoweights: CommandLine) -> None:
    Path("settled.py").write_text(SETTLED.replace("gentle", "mix"))
    refused = evoweights("kernels", "list", "--plugin", "./settled.py")
    assert refused.code == 2
    assert "settled.py" in refused.err and "a kernel 'mix' exists already. Rename the plugin's function" in refused.err


def test_a_kernel_that_a_setting_decides_is_listed_as_the_defaults_decide_it(evoweights: CommandLine) -> None:
    Path("settled.py").write_text(SETTLED)
    told = json.loads(evoweights("kernels", "list", "--plugin", "./settled.py", "--json").out)
    names = {row["name"] for row in told["kernels"]}
    assert "gentle" in names and "rough" not in names
    assert "defaults" in evoweights("kernels", "list", "--help").out
    assert evoweights("kernels", "show", "gentle", "--plugin", "./settled.py").code == 0
