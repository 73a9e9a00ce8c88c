"""The rules of the contract, one function each, by the kind of component they hold for."""

from evoweights.testing.checks import form, numbers, places, repeating
from evoweights.testing.checks.crossover import CROSSOVER_RULES
from evoweights.testing.checks.memory import MEMORY_RULES
from evoweights.testing.checks.mutation import MUTATION_RULES
from evoweights.testing.checks.swarm import SWARM_RULES

GENERAL_RULES = (
    form.form, form.inputs, form.aliasing, repeating.repeatable, repeating.seeded, repeating.quiet, places.subset,
    places.shards, places.ordered, places.renamed, form.degenerate, form.buffers, numbers.finite, numbers.contained,
    form.outside, form.elsewhere, numbers.exact, numbers.rounded, numbers.targets, numbers.waiting, *MEMORY_RULES,
    repeating.remembered, repeating.built, repeating.threads, places.neutral, places.alone,
)  # fmt: skip
"""What holds for every operator."""

OPERATOR_RULES = (*GENERAL_RULES, *CROSSOVER_RULES, *SWARM_RULES, *MUTATION_RULES)
"""Every rule of operators."""
