"""Weight matching: the order of one network's neurons in which its weights are most like another's."""

import torch
from scipy.optimize import linear_sum_assignment

from evoweights_aligned_crossover.neurons import permuted


def matched(ours, theirs, layers, *, sweeps):
    """The orders of ``theirs`` (see :func:`permuted`) that make the inner product with ``ours`` largest, one layer at a time.

    Every layer's order is the best one for those of its neighbours; it is gone over the layers until none changes, ``sweeps``
    times at most. The inner product never falls, and the end is a local maximum.
    Source: Ainsworth, Hayase and Srinivasa 2023, arXiv 2209.04836, algorithm 1.
    """
    names = [name for layer in layers for name in (layer.weight, layer.bias) if name is not None]
    ours = {name: ours[name].detach().to("cpu", torch.float64) for name in names}
    theirs = {name: theirs[name].detach().to("cpu", torch.float64) for name in names}
    orders = [torch.arange(len(theirs[layer.weight])) for layer in layers[:-1]]
    for _ in range(sweeps):
        is_settled = True
        for index in range(len(orders)):
            others = [torch.arange(len(order)) if at == index else order for at, order in enumerate(orders)]
            worth = _worth(ours, permuted(theirs, layers, others), layers[index], layers[index + 1])
            found = torch.from_numpy(linear_sum_assignment(worth.numpy(), maximize=True)[1])
            gain = worth[torch.arange(len(found)), found].sum() - worth[torch.arange(len(found)), orders[index]].sum()
            if gain > 1e-9 * worth.abs().sum():
                orders[index], is_settled = found, False
        if is_settled:
            break
    return orders


def _worth(ours, theirs, layer, after):
    """The inner product of our neuron i with their neuron j, what goes in and what comes out: ``[neurons, neurons]``."""
    worth = ours[layer.weight] @ theirs[layer.weight].T + ours[after.weight].T @ theirs[after.weight]
    if layer.bias is not None:
        worth += torch.outer(ours[layer.bias], theirs[layer.bias])
    return worth
