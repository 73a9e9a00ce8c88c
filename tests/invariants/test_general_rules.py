"""G01-G25 for every operator of every first-party plugin, on every target, in both dtypes, at awkward sizes.

G18 (targets agree) is in core/test_variation.py, G20 (memory) in core/test_operator_memory.py, G11 (layouts) and G22
(construction) in files of their own.
"""

from dataclasses import dataclass
from typing import ClassVar

import general_checks as check
import pytest
import torch
from grounds import draws, on
from hypothesis import given, settings

from evoweights.operators import GeneOperator, PairOperator, TensorOperator
from evoweights_classic import PSO, Crossover, Mix, Mutation
from evoweights_kernels import Gene, gene_kernel
from operators_under_test import label, with_settings
from populations import BACKENDS
from strategies import DTYPES

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
EXAMPLES = {"reference": 1, "cpu": 2, "triton": 1}
"""By target: what the others make is what the compiled one makes, bit for bit."""

EVERYWHERE = (
    check.form, check.inputs, check.aliasing, check.repeatable, check.quiet, check.subset, check.outside, check.names,
    check.finite, check.contained, check.remembered, check.alone,
)  # fmt: skip


def every_operator(kind=PairOperator, backends=BACKENDS):
    """A test for each operator on each target."""
    cases = [(operator, backend) for backend in backends for operator in on(backend, kind)]
    return pytest.mark.parametrize(("operator", "backend"), cases, ids=[f"{b}-{label(o)}" for o, b in cases])


def run(rule, operator, backend, dtype, *, most=9, **options):
    """Check a rule on as many draws as the target is given."""

    @settings(max_examples=min(most, EXAMPLES[backend]))
    @given(draw=draws(dtype, rows=2 if backend == "triton" else 3))
    def checked(draw):
        rule(with_settings(operator, scope="all"), backend, draw, **options)

    checked()


# The rule varies fastest, so that the checks of one draw share its outcome.
@pytest.mark.parametrize("rule", EVERYWHERE, ids=lambda each: each.__name__)
@every_operator()
@every_dtype
def test_every_operator_keeps_the_rule(rule, operator, backend, dtype):
    run(rule, operator, backend, dtype)


@every_operator(backends=("reference", "cpu"))
def test_one_instance_serves_several_threads(operator, backend):
    """G23; Triton's interpreter swaps the language of the whole process, so that it serves one thread only."""
    run(check.threads, operator, backend, torch.bfloat16)


@every_operator(GeneOperator)
@every_dtype
def test_a_genome_in_shards_is_the_genome_as_a_whole(operator, backend, dtype):
    """G08."""
    run(check.shards, operator, backend, dtype, most=1)


@every_operator(GeneOperator)
def test_bfloat16_is_float32_rounded_once(operator, backend):
    """G17."""
    run(check.rounded, operator, backend, torch.bfloat16)


@every_operator(GeneOperator)
def test_float32_is_float64_to_a_few_ulp(operator, backend):
    """G17."""
    run(check.exact, operator, backend, torch.float32)


@every_operator(backends=("cpu", "triton"))
@every_dtype
def test_no_operator_waits_for_the_device(operator, backend, dtype):
    """G19; the reference target works on the host by definition."""
    run(check.waiting, operator, backend, dtype, most=1)


@gene_kernel
def held(x: Gene):
    return x


@dataclass(frozen=True)
class Hold(GeneOperator):
    """Leaves every gene alone."""

    name, source, kernel = "hold", "a test", held


@dataclass(frozen=True)
class Nothing(TensorOperator):
    """Gives nothing back."""

    name: ClassVar[str] = "nothing"
    source: ClassVar[str] = "a test"

    def rewrite(self, target, source, noise):
        return {}


@dataclass(frozen=True)
class Same(TensorOperator):
    """Gives back what it was given."""

    name: ClassVar[str] = "same"
    source: ClassVar[str] = "a test"

    def rewrite(self, target, source, noise):
        return target


IDENTITIES = {
    "reference": [
        Hold(scope="all"), Nothing(), Same(scope="all"), Crossover(rate=0.0, scope="all"), Mix(weight=0.0, scope="all"),
        PSO(social=0.0, scope="all"), Mutation(rate=0.0, scope="all"), Mutation(sigma=0.0, rate=1.0, scope="all"),
    ],
    "cpu": [Nothing(), Same(scope="all")],
    "triton": [Hold(scope="all")],
}  # fmt: skip
"""By target: where every pipeline takes seconds to compile, those that are no launch of their own."""


@every_operator()
@every_dtype
def test_an_identity_before_or_after_changes_nothing(operator, backend, dtype):
    """G24."""
    run(check.neutral, operator, backend, dtype, most=1, identities=IDENTITIES[backend])


def test_an_identity_in_a_compiled_pipeline_changes_nothing():
    """G24, where it is fused into machine code."""
    run(check.neutral, Crossover(), "cpu", torch.bfloat16, most=1, identities=[Hold(scope="all")])
