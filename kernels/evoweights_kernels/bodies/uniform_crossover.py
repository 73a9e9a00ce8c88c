"""Uniform crossover: each gene from one parent or the other."""

from evoweights_kernels.body import gene_kernel
from evoweights_kernels.functions import where
from evoweights_kernels.roles import Chance, Gene


@gene_kernel
def uniform_crossover(x: Gene, other: Gene, take: Chance[16]) -> Gene:
    """Take each gene from `other` with probability `take`, else keep it: x <- other or x.

    Probability 1 takes all, 0 none; in between it is a multiple of 2^-16 (2^-8 and 2^-24 in the variants of 8 and
    32 bits).

    Source: Syswerda 1989, "Uniform crossover in genetic algorithms".
    """
    return where(take, other, x)


uniform_crossover_8 = uniform_crossover.with_bits({"take": 8}, name="uniform_crossover_8")
"""`uniform_crossover` from 8 random bits a gene, half the work: `take` is a multiple of 2^-8."""

uniform_crossover_32 = uniform_crossover.with_bits({"take": 32}, name="uniform_crossover_32")
"""`uniform_crossover` from 32 random bits a gene, twice the work: `take` is a multiple of 2^-24."""
