"""The general rules for every registered improver, in both dtypes: gradient steps are like other components.

What each rule demands, and the check, are those of the conformance kit. They are tried on the compiled target; that the others
make the same bits is a rule of its own. G19 and G20 are not theirs: a step returns its loss and refuses what is not finite, so
it looks at both; what it keeps are slots.
"""

import pytest

from evoweights.testing.checks.improver import IMPROVER_RULES, targets
from evoweights.testing.strategies import DTYPES
from evoweights.testing.training_ground import Ground
from operators_under_test import registered

ELSEWHERE = ("evoweights_evotorch", "evoweights_est")
"""EvoTorch's searchers keep tensors of other shapes, subnetworks are those of language models; tests/searchers and tests/est hold
them to the same rules."""
FEW = {"es": {"members": 6}, "random_search": {"members": 6}}
"""Settings that make a step short, by improver."""
IMPROVERS = [
    each.component(**FEW.get(each.name, {}))
    for each in registered().entries("improve")
    if each.provider not in ELSEWHERE
]
every_improver = pytest.mark.parametrize("improver", IMPROVERS, ids=lambda each: each.name)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


@pytest.mark.parametrize("rule", IMPROVER_RULES, ids=lambda each: f"{each.id}-{each.name}")
@every_improver
@every_dtype
def test_every_improver_keeps_the_rule(rule, improver, dtype):
    if not rule.applies(improver):
        rule(improver, Ground(dtype, 7, "cpu"))


@every_improver
@every_dtype
def test_the_interpreter_of_triton_makes_the_bits_of_the_reference(improver, dtype):
    """G18; ``targets`` compares with the reference."""
    if not targets.applies(improver):
        targets(improver, Ground(dtype, 7, "triton"))
