"""What operators are worth: the change of an individual's loss at each of their applications, summed up."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Student's t that 2.5 % lie above, by degrees of freedom from 1."""


@dataclass(frozen=True)
class OperatorCredit:
    """The change of loss that an operator made, right where it was applied; ``operator`` is its label.

    ``spread`` is the standard deviation of single changes, ``low`` and ``high`` bound the mean with 95 %, as if
    applications were independent; they are None below two applications.
    """

    operator: str
    applications: int
    mean: float
    spread: float | None
    low: float | None
    high: float | None

    @property
    def verdict(self) -> str:
        """The bounds in words; what helps lowers the loss."""
        if self.low is None or self.high is None:
            return "applied once"
        if self.high < 0:
            return "helps"
        return "hurts" if self.low > 0 else "no difference seen"


def credit_of(varied: Iterable[Mapping[str, Any]]) -> tuple[OperatorCredit, ...]:
    """The credit of every operator in records of rewritten individuals (lines of ``lineage.jsonl``), in the order of the
    configuration; what was not measured, or is not finite, does not count."""
    changes: dict[str, list[float]] = {}
    for each in varied:
        losses = each.get("losses") or ()
        for label, (before, after) in zip(each["operators"], pairwise(losses), strict=False):
            if math.isfinite(after - before):
                changes.setdefault(label, []).append(after - before)
    return tuple(_credit(label, changes[label]) for label in sorted(changes, key=_place))


def _place(label: str) -> tuple[int, str]:
    number = label.partition("-")[0]
    return (int(number) if number.isdecimal() else 0, label)


def _credit(label: str, changes: list[float]) -> OperatorCredit:
    count = len(changes)
    mean = math.fsum(each / count for each in changes)
    if count < 2:
        return OperatorCredit(label, count, mean, None, None, None)
    spread = math.hypot(*(each - mean for each in changes)) / math.sqrt(count - 1)
    half = t_975(count - 1) * spread / math.sqrt(count)
    return OperatorCredit(label, count, mean, spread, mean - half, mean + half)


def t_975(freedom: int) -> float:
    """Student's t that 2.5 % lie above. Source: Abramowitz and Stegun 1964, 26.7.5, from 10 degrees of freedom on."""
    if freedom <= len(T_975):
        return T_975[freedom - 1]
    z = 1.959964
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
