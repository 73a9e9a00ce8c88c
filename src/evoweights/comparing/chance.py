"""How far chance could have moved a difference of means: bootstrap intervals that are wide enough for few seeds.

A plain percentile interval of three numbers lies between the smallest and the largest, and covers the truth in three of
four cases, not in 19 of 20. So deviations of resampled means are widened by ``sqrt(n / (n - 1))`` and by the ratio of
Student's to the normal quantile, which corrects the spread as Hesterberg 2015 ("What teachers should know about the
bootstrap", The American Statistician 69) corrects the levels.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist, mean, variance
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy import ndarray
    from numpy.random import Generator

LEVEL = 0.95
RESAMPLES = 20_000
_NORMAL = NormalDist().inv_cdf(0.5 + LEVEL / 2)
_STUDENT = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622)
"""Student's quantile at 0.975 for 1 to 9 degrees of freedom."""


def interval_of_pairs(differences: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean of at least two differences, each between two runs of one seed."""
    import numpy as np

    deviations = _deviations(differences, np.random.default_rng(0))
    return _around(mean(differences), deviations, student_quantile(len(differences) - 1))


def interval_of_groups(own: Sequence[float], first: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of ``mean(own) - mean(first)``, each of at least two values that have nothing to do with each other."""
    import numpy as np

    generator = np.random.default_rng(0)
    deviations = _deviations(own, generator) - _deviations(first, generator)
    return _around(mean(own) - mean(first), deviations, student_quantile(_freedom(own, first)))


def student_quantile(freedom: float) -> float:
    """Student's quantile at 0.975 for at least one degree of freedom; between whole ones that of the lower.

    From ten on by an expansion in 1/freedom (Abramowitz and Stegun 1964, 26.7.5), right to four decimals.
    """
    whole = math.floor(freedom + 1e-9)
    if whole <= len(_STUDENT):
        return _STUDENT[whole - 1]
    z, n = _NORMAL, whole
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / n + second / n**2 + third / n**3


def _deviations(values: Sequence[float], generator: "Generator") -> "ndarray":
    """How far means of resampled values lie from the mean, not narrowed by how few there are."""
    import numpy as np

    count = len(values)
    centred = np.asarray(values, dtype=np.float64) - mean(values)
    drawn = generator.integers(count, size=(RESAMPLES, count))
    return centred[drawn].mean(axis=1) * math.sqrt(count / (count - 1))


def _around(centre: float, deviations: "ndarray", student: float) -> tuple[float, float]:
    import numpy as np

    low, high = np.quantile(deviations, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2]) * (student / _NORMAL)
    return centre + min(float(low), 0.0), centre + max(float(high), 0.0)


def _freedom(own: Sequence[float], first: Sequence[float]) -> float:
    """Degrees of freedom of a difference of two means (Welch 1947)."""
    parts = [(variance(values) / len(values), len(values) - 1) for values in (own, first)]
    below = sum(part**2 / freedom for part, freedom in parts)
    return sum(part for part, _ in parts) ** 2 / below if below else sum(freedom for _, freedom in parts)
