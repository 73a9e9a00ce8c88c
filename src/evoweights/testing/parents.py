"""The parents that a kernel reads besides the target and the source, and the rows that they lie in when it is checked."""

from evoweights.operators import GeneOperator, PairOperator
from evoweights_kernels import Gene

FIRST_FURTHER = 3
"""The row of the first parent besides the source, which is row 0; rows 1 and 2 are rewritten."""


def further_parents(operator: PairOperator) -> tuple[int, ...]:
    """The rows that its kernel reads besides the target's and the source's, where the kit says whom it rewrites."""
    if not isinstance(operator, GeneOperator) or type(operator).pairs is PairOperator.pairs:
        return ()
    slots = {slot.name.rpartition(".")[2] for slot in operator.slots}
    read = [each for each in operator.kernel.arguments if each.role is Gene and each.name not in slots]
    return tuple(range(FIRST_FURTHER, FIRST_FURTHER + max(0, len(read) - 2)))


def rows_of(operator: PairOperator) -> int:
    """How many individuals a population needs for a check: three, and those that are further parents."""
    return FIRST_FURTHER + len(further_parents(operator))


def fewest_rows(operator: PairOperator) -> int:
    """How many it needs where one is rewritten: two, or all if there are further parents.

    With fewer rows the source would stand for those, and another kernel be compiled, that reads it once.
    """
    return rows_of(operator) if further_parents(operator) else 2
