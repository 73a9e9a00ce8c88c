"""Particle swarm step without velocity, towards one leader."""

from evoweights_kernels.body import gene_kernel
from evoweights_kernels.functions import minimum, where
from evoweights_kernels.roles import Gene, Normal, Scalar


@gene_kernel
def pso_towards(x: Gene, leader: Gene, social: Scalar, z: Normal) -> Gene:
    """Move towards the leader by a random share of the distance, drawn per gene.

    r = min((z + 3) / 6, 1);  where r > 0: x <- x + social r (leader - x). With social 2 the mean step is the distance
    and x may land anywhere between its place and its mirror image behind the leader. Where the step is zero
    (x equals the leader, social is 0) the bytes of x stay; finite genes never give NaN.

    Source: the swarm step of the code published with Chen 2025, arXiv 2509.24436 (EOE); Kennedy & Eberhart 1995.
    """
    share = minimum((z + 3.0) * (1.0 / 6.0), 1.0)
    strength = social * share
    step = strength * (leader - x)
    moves = (share > 0.0) & (strength != 0.0) & (step != 0.0)
    return where(moves, x + step, x)


pso_towards_16 = pso_towards.with_bits({"z": 16}, name="pso_towards_16")
"""`pso_towards` from 16 random bits a gene, half the work: z has fewer values, and those beyond 4.71, which it lacks, give no
other share than 0 or 1."""
