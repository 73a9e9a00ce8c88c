"""What an evolution strategy must do if all is well, from the members' fitness alone; a run reports it beside what it did.

With small sigma a fitness is nearly linear, ``r(theta + sigma eps) = r(theta) + sigma grad r . eps``, and all of this follows.
Derivations of the cosine and the drift: Nesterov and Spokoiny 2017; Malladi et al. 2023, arXiv 2305.17333, section 4.
"""

import math
from collections.abc import Sequence
from statistics import fmean

from evoweights_es.member import Member

TOO_LARGE = 0.25
"""Share by which slopes at sigma and at a tenth of it may differ before sigma is called too large."""


def expected_cosine(directions: int, dimension: int) -> float:
    """Expected cosine between the estimate and the true gradient, ``sqrt(n / (n + d))``."""
    return math.sqrt(directions / (directions + dimension)) if directions else 0.0


def spread(fitness: Sequence[float]) -> float:
    """Standard deviation over members (of the population)."""
    mean = fmean(fitness)
    return math.sqrt(fmean((each - mean) ** 2 for each in fitness))


def gradient_norm(fitness: Sequence[float], members: Sequence[Member], sigma: float) -> float:
    """The norm of the gradient, from the spread: ``grad r . eps`` has the standard deviation ``||grad r||``.

    One-sided it is ``sd(r) / sigma``; of pairs ``(r+ - r-) / (2 sigma)`` is used, in which curvature cancels.
    """
    slopes = directional(fitness, members, sigma)
    is_paired = len(slopes) < len(members)
    return math.sqrt(fmean(each**2 for each in slopes)) if is_paired else spread(fitness) / sigma


def directional(fitness: Sequence[float], members: Sequence[Member], sigma: float) -> list[float]:
    """Slopes of the fitness along every direction: of pairs by their difference, else from the mean of all members."""
    mean, sums, counts = fmean(fitness), {}, {}
    for value, member in zip(fitness, members, strict=True):
        sums[member.direction] = sums.get(member.direction, 0.0) + member.sign * value
        counts[member.direction] = counts.get(member.direction, 0.0) + member.sign
    ones = {each.direction for each in members}
    # A lone member's slope is taken from the mean; of a pair the mean cancels.
    return [(sums[each] - counts[each] * mean) / (sigma * (1.0 if counts[each] else 2.0)) for each in sorted(ones)]


def predicted_change(coefficients: Sequence[float], slopes: Sequence[float], rate: float) -> float:
    """The change of the loss that a step ``rate * sum_i c_i eps_i`` makes where the fitness is linear.

    It is ``-rate sum_i c_i grad r . eps_i``; with z-scores and members of their own direction that is ``-rate ||grad r||``.
    """
    return -rate * math.fsum(c * slope for c, slope in zip(coefficients, slopes, strict=True))


def movement(coefficients: Sequence[float], genes: int, rate: float) -> float:
    """Expected length of a step: ``rate sqrt(genes sum_i c_i^2)``, that of its noise.

    The part along the gradient adds a share of ``n / d``, which is little unless the search has few dimensions.
    """
    return rate * math.sqrt(genes * math.fsum(c * c for c in coefficients))


def drift(steps: int, genes: int, members: int, rate: float) -> float:
    """Expected distance from the start after so many z-scored steps, as of a random walk: ``rate sqrt(T genes / N)``."""
    return rate * math.sqrt(steps * genes / members)


def curvature_ratio(near: Sequence[float], far: Sequence[float], centre: float) -> float | None:
    """Slopes at ``sigma`` over slopes at a tenth of it, along the same directions, root mean square; about 1 where the fitness
    is linear. ``near`` and ``far`` are the fitness at a tenth and at the whole of sigma, ``centre`` that of the centre; None if
    it is flat.
    """
    small = math.fsum((each - centre) ** 2 for each in near)
    large = math.fsum((each - centre) ** 2 for each in far)
    return math.sqrt(large / small) / 10 if small > 0 and math.isfinite(small) and math.isfinite(large) else None
