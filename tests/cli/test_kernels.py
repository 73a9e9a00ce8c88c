"""`evoweights kernels` shows what kernels cost and what is made from them."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import CommandLine

from evoweights_kernels import bodies, generated_source
from put_on_path import put_on_path


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


@pytest.fixture
def nudge(evoweights: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The operator of a new distribution, installed."""
    assert evoweights("plugins", "new", "nudge").code == 0
    put_on_path(Path("evoweights-nudge").absolute(), tmp_path / "site", monkeypatch)
    yield
    sys.modules.pop("evoweights_nudge", None)


SIGNS = {"reference": "def nudge_kernel", "cpu": "@njit", "triton": "@triton.jit", "cuda": "__global__"}


@pytest.mark.parametrize("target", SIGNS)
def test_the_kernel_of_a_new_plugin_is_shown_for_every_target_alone_and_with_neighbours(
    target: str, evoweights: CommandLine, nudge: None
) -> None:
    alone = evoweights("kernels", "show", "nudge_kernel", "--plugin", "nudge", "--target", target)
    fused = evoweights("kernels", "show", "crossover", "nudge", "mutation", "--plugin", "nudge", "--target", target)
    assert alone.code == fused.code == 0
    for sign in ("__global__", "@triton.jit\ndef kernel", "def kernel"):
        assert fused.out.count(sign) == alone.out.count(sign)
    assert SIGNS[target] in alone.out and len(fused.out) > len(alone.out)


def test_an_installed_plugins_kernel_is_listed_by_name_and_said_where_to_find(
    evoweights: CommandLine, nudge: None
) -> None:
    told = json.loads(evoweights("kernels", "list", "--plugin", "nudge", "--json").out)
    (row,) = [each for each in told["kernels"] if each["name"] == "nudge_kernel"]
    assert row["arguments"] == ["x: Gene", "other: Gene", "share: Scalar", "rate: Chance[32]"] and row["bytes"] == 12
    refused = evoweights("kernels", "show", "nudge")
    assert refused.code == 2 and "Installed plugins are looked into with --plugin: nudge." in refused.err


def test_an_operator_stands_for_its_kernel_but_a_kernels_own_name_goes_first(evoweights: CommandLine) -> None:
    assert evoweights("kernels", "show", "crossover").out == evoweights("kernels", "show", "uniform_crossover").out
    assert evoweights("kernels", "show", "pso").out.strip() == generated_source([bodies.pso], "cpu").strip()


DECIDES = """
from dataclasses import dataclass
from evoweights import Gene, GeneOperator, gene_kernel, hookimpl

@gene_kernel
def decides(x: Gene, other: Gene):
    return x if x > other else other

@dataclass(frozen=True)
class Decides(GeneOperator):
    "Takes the larger."
    name, source, kernel = "decides", "me", decides

@hookimpl
def register(catalog):
    catalog.add("operator", Decides)
"""


@pytest.mark.parametrize("words", [("list",), ("show", "decides"), ("show", "pso", "decides", "--target", "cuda")])
def test_a_body_that_cannot_be_generated_is_told_with_its_line_and_what_to_write(
    words: tuple[str, ...], evoweights: CommandLine
) -> None:
    Path("decides.py").write_text(DECIDES)
    outcome = evoweights("kernels", *words, "--plugin", "./decides.py")
    assert outcome.code == 5 and outcome.err.startswith("error: gene kernel 'decides' (")
    assert "decides.py:7" in outcome.err and "use where(condition, a, b)" in outcome.err
