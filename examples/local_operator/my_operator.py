"""An operator of one's own: pull every gene a random share of the way to the leader's."""

from dataclasses import dataclass

from evoweights import Gene, GeneOperator, Scalar, Uniform, gene_kernel, hookimpl, setting


@gene_kernel
def drift_kernel(x: Gene, leader: Gene, strength: Scalar, r: Uniform):
    return x + strength * r * (leader - x)


@dataclass(frozen=True)
class Drift(GeneOperator):
    """Moves every gene a random share of the way to the leader's."""

    name, source, kernel = "drift", "an example", drift_kernel
    strength: float = setting(0.5, "largest share of the way", minimum=0.0, maximum=1.0)


@hookimpl
def register(catalog):
    catalog.add("operator", Drift)
