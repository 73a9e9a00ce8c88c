"""Arithmetic crossover: a point on the line between two parents."""

from typing import Any

from evoweights_kernels.bodies._limits import LARGEST
from evoweights_kernels.body import gene_kernel
from evoweights_kernels.functions import absolute, maximum, minimum, where
from evoweights_kernels.roles import Gene, Scalar


@gene_kernel
def arithmetic_crossover(x: Gene, other: Gene, weight: Scalar) -> Gene:
    """Blend the parents: x <- (1 - weight) x + weight other, `weight` within [0, 1].

    Weight 0 and 1 give the bytes of x and other, weights beyond them the nearer parent; equal parents give the bytes
    of x. Finite parents give a gene between them that moves one way as the weight grows, also where other - x
    overflows.

    Source: Michalewicz 1996, "Genetic algorithms + data structures = evolution programs" (arithmetical crossover).
    """
    return blend(x, other, weight)


@gene_kernel
def mix(x: Gene, leader: Gene, weight: Scalar) -> Gene:
    """Pull towards the leader by a fixed share: x <- (1 - weight) x + weight leader, as in arithmetic crossover.

    Source: the deterministic step of the code published with Chen 2025, arXiv 2509.24436 (EOE); weight 0.1 there.
    """
    return blend(x, leader, weight)


def blend(x: Any, other: Any, weight: Any) -> Any:
    """The point at `weight` on the way from x to other: never outside the two, exact at both ends."""
    difference = other - x
    along = x + weight * difference
    summed = (1.0 - weight) * x + weight * other
    inside = where(absolute(difference) <= LARGEST, along, summed)
    inside = minimum(maximum(inside, minimum(x, other)), maximum(x, other))
    inner = where((weight == 0.0) | (x == other), x, inside)
    return where(weight == 1.0, other, inner)
