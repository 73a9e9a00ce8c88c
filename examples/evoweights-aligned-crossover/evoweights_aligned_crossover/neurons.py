"""The neurons of a perceptron: its layers, and the same network with its neurons in another order."""

from dataclasses import dataclass
from itertools import pairwise

from evoweights.errors import UsageError


@dataclass(frozen=True)
class Layer:
    """The names of a layer's weight ``[neurons, inputs]`` and bias ``[neurons]``; None where there is no bias."""

    weight: str
    bias: str | None


def module_of(name):
    """The module that a tensor belongs to: weight and bias have the same, any other tensor is one by itself."""
    return name.removesuffix(".weight").removesuffix(".bias")


def layers_of(tensors, modules=()):
    """The layers in their order: of the modules with these names, or of all that have a weight.

    Raises:
        UsageError: a module is not there, a weight is no matrix, the inputs of a layer are not the neurons of the one before,
            or a tensor belongs to none of the layers.
    """
    modules = list(modules) or [name.removesuffix(".weight") for name in tensors if name.endswith(".weight")]
    layers = []
    for module in modules:
        weight, bias = f"{module}.weight", f"{module}.bias"
        if weight not in tensors or tensors[weight].ndim != 2:
            shape = tuple(tensors[weight].shape) if weight in tensors else "nothing"
            raise UsageError(f"operator aligned_crossover: {weight}: expected a matrix of a Linear, found {shape}.")
        layers.append(Layer(weight, bias if bias in tensors else None))
    for before, after in pairwise(layers):
        neurons, inputs = tensors[before.weight].shape[0], tensors[after.weight].shape[1]
        if neurons != inputs:
            raise UsageError(
                f"operator aligned_crossover: {before.weight} has {neurons} neurons, but {after.weight} takes {inputs} inputs. "
                "Set `layers` to the names of the Linear modules in the order in which they follow each other."
            )
    known = {name for layer in layers for name in (layer.weight, layer.bias)}
    if strange := [name for name in tensors if name not in known]:
        where = (
            f"belong to none of the layers {', '.join(modules)}" if modules else "belong to no layer, as there is none"
        )
        raise UsageError(
            f"operator aligned_crossover: {', '.join(strange[:3])} {where}. "
            "Only plain perceptrons can be aligned: Linear layers, one after the other, with an activation of single neurons "
            "between them."
        )
    return layers


def permuted(tensors, layers, orders):
    """The network with its hidden neurons in other orders: it computes the same function.

    ``orders[k][i]`` is the old place of the neuron of hidden layer k that comes to place i: int64 ``[neurons]``. The outputs keep
    their order, so there is an order less than layers.
    """
    made = dict(tensors)
    for layer, after, order in zip(layers[:-1], layers[1:], orders, strict=True):
        made[layer.weight] = made[layer.weight][order]
        if layer.bias is not None:
            made[layer.bias] = made[layer.bias][order]
        made[after.weight] = made[after.weight][:, order]
    return made
