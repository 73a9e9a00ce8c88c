"""The operator: whole neurons or layers of another network, once its neurons are in our order."""

from dataclasses import dataclass, replace

from evoweights import TensorOperator, Traits, setting
from evoweights_aligned_crossover.matching import matched
from evoweights_aligned_crossover.neurons import layers_of, module_of, permuted


@dataclass(frozen=True)
class AlignedCrossover(TensorOperator):
    """Structured crossover: whole neurons or layers of the other parent, after its neurons are put in the target's order.

    A neuron is what comes into it and its bias. A network computes the same whatever the order of its hidden neurons, so two
    networks that were trained apart have theirs in different orders, and crossover place by place mixes unlike neurons.
    """

    name = "aligned_crossover"
    source = (
        "alignment: Ainsworth, Hayase and Srinivasa 2023, arXiv 2209.04836; crossover of aligned networks: Uriot and Izzo 2020, "
        "arXiv 2001.10777"
    )

    rate: float = setting(0.5, "probability that a unit is taken", unit="probability", minimum=0.0, maximum=1.0)
    share: float = setting(
        1.0, "of a unit that is taken: 1 copies, 0.5 averages", unit="fraction", minimum=0.0, maximum=1.0
    )
    unit: str = setting("neuron", "what is taken as a whole", choices=("neuron", "layer"))
    align: bool = setting(True, "put the other's neurons in order first; false is the plain crossover to compare with")
    sweeps: int = setting(20, "most passes over the layers while aligning", minimum=1)
    layers: list[str] = setting([], "names of the Linear modules in their order, such as '0', '2', '4'; empty: all")
    scope: str = setting("all", "a neuron is weights and bias, so nothing may be left out", choices=("all",))

    @property
    def traits(self):
        """A neuron that is taken lies at another place than in its parent, so an aligned child makes no claims by place."""
        is_copy = True if self.share == 1.0 else None
        told = Traits("crossover", stochastic=True, idempotent=is_copy, homogeneous=True)
        if self.align:
            return told
        return replace(
            told,
            tensor_wise=True,
            copies=is_copy,
            complementary=is_copy,
            convex=True,
            translates=True,
            share="rate" if is_copy else None,
            memory_factor=2.0 if is_copy else 4.0,
        )

    def rewrite(self, target, source, noise):
        """The target with some units of the source, which is aligned first.

        Raises:
            UsageError: what is in scope is no plain perceptron, so that its neurons cannot be put in another order.
        """
        if self.align:
            layers = layers_of(target, self.layers)
            orders = matched(target, source, layers, sweeps=self.sweeps)
            source = permuted(source, layers, [order.to(source[layers[0].weight].device) for order in orders])
        return {name: self._mixed(name, own, source[name], noise) for name, own in target.items()}

    def _mixed(self, name, own, other, noise):
        """A tensor with some rows of the other's, or all of it; weight and bias of a module draw the same."""
        import torch

        units = len(own) if self.unit == "neuron" and own.ndim else 1
        drawn = torch.rand(units, generator=noise.at("module", module_of(name)).generator()) < self.rate
        taken = drawn.to(own.device).reshape([units][: own.ndim] + [1] * (own.ndim - 1))
        if self.share < 1.0:
            other = torch.lerp(own.float(), other.float(), self.share).to(own.dtype)
        return torch.where(taken, other, own)
