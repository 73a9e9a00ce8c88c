"""The general rules for every registered improver, on every target and in both dtypes: gradient steps are like other components.

What each rule demands, and the check, are those of the conformance kit. G19 and G20 are not theirs: a step returns its loss and
refuses what is not finite, so it looks at both; what it keeps are slots.
"""

import pytest

from evoweights.testing.checks.improver import IMPROVER_RULES, threads
from evoweights.testing.populations import BACKENDS
from evoweights.testing.strategies import DTYPES
from evoweights.testing.training_ground import Ground
from operators_under_test import registered

ELSEWHERE = ("evoweights_evotorch", "evoweights_est")
"""EvoTorch's searchers keep tensors of other shapes, subnetworks are those of language models; tests/searchers and tests/est hold
them to the same rules."""
IMPROVERS = [each.component() for each in registered().entries("improve") if each.provider not in ELSEWHERE]


@pytest.mark.parametrize("rule", IMPROVER_RULES, ids=lambda each: f"{each.id}-{each.name}")
@pytest.mark.parametrize("improver", IMPROVERS, ids=lambda each: each.name)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_improver_keeps_the_rule(rule, improver, backend, dtype):
    if rule.applies(improver) or (rule is threads and backend == "triton"):
        return  # Triton's interpreter swaps the language of the whole process, so that it serves one thread only
    rule(improver, Ground(dtype, 7, backend))
