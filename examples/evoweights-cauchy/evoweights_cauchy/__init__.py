"""Cauchy mutation for evoweights."""

from dataclasses import dataclass

from evoweights import (
    Chance,
    Gene,
    GeneOperator,
    Normal,
    Scalar,
    Traits,
    absolute,
    gene_kernel,
    hookimpl,
    setting,
    where,
)

EVOWEIGHTS_API = "1.0"


@gene_kernel
def cauchy_kernel(x: Gene, scale: Scalar, rate: Chance, z: Normal, w: Normal):
    """The ratio of two standard normals is a standard Cauchy variable; a denominator of zero leaves the gene alone."""
    usable = rate & (absolute(w) > 1.0e-6)
    step = scale * (z / where(usable, w, 1.0))
    return where(usable & (step != 0.0), x + step, x)  # adding 0 would take the sign of -0


@dataclass(frozen=True)
class CauchyMutation(GeneOperator):
    """Adds Cauchy noise to a random share of the genes: small steps mostly, and now and then a large one."""

    name, kernel = "cauchy_mutation", cauchy_kernel
    source = "Yao, Liu and Lin 1999, Evolutionary Programming Made Faster, IEEE Trans. Evol. Comput. 3:82, eq. 5"
    traits = Traits(
        "mutation", stochastic=True, gene_wise=True, translates=True, rate="rate", scale="scale", law="cauchy"
    )

    direction: str = setting("all", "who is mutated; see the operators of evoweights")
    scale: float = setting(0.01, "half the width of the noise at half its height", unit="weight", minimum=0.0)
    rate: float = setting(0.01, "probability that a gene changes", unit="probability", minimum=0.0, maximum=1.0)


@hookimpl
def register(catalog):
    """Add the operator."""
    catalog.add("operator", CauchyMutation)
