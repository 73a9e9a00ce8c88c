"""The general rules for every operator of every first-party plugin, on every target, in both dtypes, at awkward sizes.

G20 (memory) is also in core/test_operator_memory.py, by what the process takes; G11 (layouts) and G22 for all kinds
(construction) are in files of their own. What each rule demands, and the check, are those of the conformance kit.
"""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from hypothesis import given, settings

from evoweights import variation
from evoweights.operators import GeneOperator, PairOperator, TensorOperator
from evoweights.testing.checks import GENERAL_RULES
from evoweights.testing.checks.numbers import WaitingForbidden, exact, rounded
from evoweights.testing.checks.places import Hold, Same, shards, unmoved_by
from evoweights.testing.checks.repeating import threads
from evoweights.testing.grounds import draws, label, settled, with_settings
from evoweights.testing.populations import BACKENDS, flat_layout, vary_
from evoweights.testing.strategies import DTYPES
from evoweights_classic import PSO, Crossover, Mix, Mutation
from evoweights_kernels.constants import TILE
from operators_under_test import on

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
EXAMPLES = {"reference": 1, "cpu": 2, "triton": 1}
"""By target: what the others make is what the compiled one makes, bit for bit."""

OF_ONE_TYPE = {exact: torch.float32, rounded: torch.bfloat16}


def every_operator(kind=PairOperator, backends=BACKENDS):
    """A test for each operator on each target."""
    cases = [(operator, backend) for backend in backends for operator in on(backend, kind)]
    return pytest.mark.parametrize(("operator", "backend"), cases, ids=[f"{b}-{label(o)}" for o, b in cases])


def run(rule, operator, backend, dtype, *, most=9):
    """Check a rule on as many draws as the target is given."""

    @settings(max_examples=min(most, EXAMPLES[backend]))
    @given(draw=draws(dtype, rows=2 if backend == "triton" else 3))
    def checked(draw):
        rule(with_settings(operator, scope="all"), backend, draw)

    checked()


# The rule varies fastest, so that the checks of one draw share its outcome.
@pytest.mark.parametrize("rule", GENERAL_RULES, ids=lambda each: f"{each.id}-{each.name}")
@every_operator()
@every_dtype
def test_every_operator_keeps_the_rule(rule, operator, backend, dtype):
    if rule.applies(operator) or OF_ONE_TYPE.get(rule, dtype) != dtype:
        return
    if rule is threads and backend == "triton":
        return  # Triton's interpreter swaps the language of the whole process, so that it serves one thread only
    run(rule, operator, backend, dtype, most=1 if rule is shards else 9)


@every_operator(GeneOperator, backends=("cpu", "triton"))
def test_the_engine_does_not_wait_for_the_device(operator, backend, monkeypatch):
    """G19, for a whole phase; the live table is left out, which the kernels check where it lies on the CPU."""
    launch = variation.apply_

    def without_table(calls, *, seed, live, backend):
        del live
        return launch(calls, seed=seed, backend=backend)

    @settings(max_examples=1)
    @given(draw=draws(torch.float32, rows=2))
    def checked(draw):
        layout = flat_layout(4 * TILE, draw.layout.dtype)
        population = settled(operator, dataclasses.replace(draw, layout=layout))
        with monkeypatch.context() as patched, WaitingForbidden():
            patched.setattr(variation, "apply_", without_table)
            vary_(population, operator, seed=draw.seed, backend=backend)

    checked()


@dataclass(frozen=True)
class Nothing(TensorOperator):
    """Gives nothing back."""

    name: ClassVar[str] = "nothing"
    source: ClassVar[str] = "a test"

    def rewrite(self, target, source, noise):
        return {}


IDENTITIES = {
    "reference": [
        Hold(scope="all"), Nothing(), Same(scope="all"), Crossover(rate=0.0, scope="all"), Mix(weight=0.0, scope="all"),
        PSO(social=0.0, scope="all"), Mutation(rate=0.0, scope="all"), Mutation(sigma=0.0, rate=1.0, scope="all"),
    ],
    "cpu": [Nothing(), Same(scope="all")],
    "triton": [Hold(scope="all")],
}  # fmt: skip
"""By target: where every pipeline takes seconds to compile, those that are no launch of their own."""


def unmoved(operator, backend, draw):
    unmoved_by(IDENTITIES[backend], operator, backend, dataclasses.replace(draw, share=0.0))


@every_operator()
@every_dtype
def test_an_identity_before_or_after_changes_nothing(operator, backend, dtype):
    """G24."""
    run(unmoved, operator, backend, dtype, most=1)


def test_an_identity_in_a_compiled_pipeline_changes_nothing():
    """G24, where it is fused into machine code."""

    @settings(max_examples=1)
    @given(draw=draws(torch.bfloat16))
    def checked(draw):
        unmoved_by([Hold(scope="all")], Crossover(scope="all"), "cpu", dataclasses.replace(draw, share=0.0))

    checked()
