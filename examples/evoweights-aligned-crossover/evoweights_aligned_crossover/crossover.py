"""The operator: whole neurons or layers of another perceptron, once its neurons are in our order."""

from dataclasses import dataclass

from evoweights import TensorOperator, setting
from evoweights_aligned_crossover.matching import matched
from evoweights_aligned_crossover.neurons import layers_of, permuted


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

    def rewrite(self, target, source, noise):
        """The target with some units of the aligned source.

        Raises:
            UsageError: what is in scope is no plain perceptron.
        """
        import torch

        layers = layers_of(target, self.layers)
        if self.align:
            orders = matched(target, source, layers, sweeps=self.sweeps)
            source = permuted(source, layers, [order.to(source[layers[0].weight].device) for order in orders])
        written = {}
        for index, layer in enumerate(layers):
            units = len(target[layer.weight]) if self.unit == "neuron" else 1
            drawn = torch.rand(units, generator=noise.at("layer", index).generator()) < self.rate
            for name in (layer.weight, layer.bias):
                if name is not None:
                    own, other = target[name], source[name]
                    taken = drawn.to(own.device).reshape(-1, *[1] * (own.ndim - 1))
                    mixed = (
                        other if self.share == 1.0 else torch.lerp(own.float(), other.float(), self.share).to(own.dtype)
                    )
                    written[name] = torch.where(taken, mixed, own)
        return written
