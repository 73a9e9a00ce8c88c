"""Cauchy mutation for evoweights."""

from dataclasses import dataclass

from evoweights import Chance, Gene, GeneOperator, Normal, Scalar, absolute, gene_kernel, hookimpl, setting, where

EVOWEIGHTS_API = "1.0"


@gene_kernel
def cauchy_kernel(x: Gene, scale: Scalar, touched: Chance, z: Normal, w: Normal):
    """The ratio of two standard normals is a standard Cauchy variable; a denominator of zero leaves the gene alone."""
    usable = touched & (absolute(w) > 1.0e-6)
    return where(usable, x + scale * (z / where(usable, w, 1.0)), x)


@dataclass(frozen=True)
class CauchyMutation(GeneOperator):
    """Adds Cauchy noise to a random share of the genes: small steps mostly, and now and then a large one."""

    name, kernel = "cauchy_mutation", cauchy_kernel
    source = "Yao, Liu and Lin 1999, Evolutionary Programming Made Faster, IEEE Trans. Evol. Comput. 3:82, eq. 5"

    direction: str = setting("all", "who is mutated; see the operators of evoweights")
    scale: float = setting(0.01, "half the width of the noise at half its height", unit="weight", minimum=0.0)
    rate: float = setting(0.01, "probability that a gene changes", unit="probability", minimum=0.0, maximum=1.0)

    def scalars(self):
        """The scale, and the probability of being touched."""
        return {"scale": self.scale, "touched": self.rate}


@hookimpl
def register(catalog):
    """Add the operator."""
    catalog.add("operator", CauchyMutation)
