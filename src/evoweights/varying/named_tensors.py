"""Operators in plain torch: they get copies of named tensors, and what they give is checked before anything is written."""

from collections.abc import Mapping

import torch
from torch import Tensor

from evoweights.contract import calling
from evoweights.errors import PluginError
from evoweights.operators import Pair, TensorOperator
from evoweights.population import Population
from evoweights.seeds import Noise


def rewrite_tensors_(
    population: Population, operator: TensorOperator, pair: Pair, source: Tensor, names: list[str], noise: Noise
) -> None:
    """Let the operator rewrite the pair's target, in the segments ``names``, from the weights ``source``.

    Raises:
        PluginError: it raised, or gave tensors of another name, shape or dtype, or non-finite ones; no weight was changed.
    """
    segments = {each.name: each for each in population.layout.segments if each.name in names}
    target = population.row(pair.target)
    where = f"operator {operator.name} on individual {pair.target}"
    own = {name: each.view(target).clone() for name, each in segments.items()}
    other = {name: each.view(source).clone() for name, each in segments.items()}
    before = [{name: each._version for name, each in tensors.items()} for tensors in (own, other)]
    with calling(where):  # nothing is written before it returns
        written = operator.rewrite(dict(own), dict(other), noise)
    _check_rewritten(written, {name: each.view(target) for name, each in segments.items()}, where)
    for tensors, versions, returned in ((own, before[0], written), (other, before[1], ())):
        for name, each in tensors.items():
            if each._version != versions[name] and name not in returned:
                raise PluginError(f"{where}: changed {name!r} in place and did not return it. No weight was changed.")
    for name, tensor in written.items():
        segments[name].view(target).copy_(tensor.detach())


def _check_rewritten(written: Mapping[str, Tensor], allowed: Mapping[str, Tensor], where: str) -> None:
    if not isinstance(written, Mapping):
        raise PluginError(
            f"{where}: gave {type(written).__name__}, expected a mapping from names to tensors. No weight was changed."
        )
    for name, tensor in written.items():
        if name not in allowed:
            raise PluginError(f"{where}: gave a tensor {name!r} that is not in its scope. No weight was changed.")
        if not isinstance(tensor, Tensor):
            raise PluginError(
                f"{where}: gave {name!r} as {type(tensor).__name__}, expected a tensor. No weight was changed."
            )
        if (tensor.shape, tensor.dtype) != ((old := allowed[name]).shape, old.dtype):
            raise PluginError(
                f"{where}: gave {name!r} as {tensor.dtype} {tuple(tensor.shape)}, expected {old.dtype} "
                f"{tuple(old.shape)}. No weight was changed."
            )
    # All at once: on an accelerator every look at a number waits for all the work before it.
    finite = [torch.isfinite(tensor).all().to(allowed[name].device) for name, tensor in written.items()]
    for name, is_finite in zip(written, torch.stack(finite).tolist() if finite else (), strict=True):
        if not is_finite:
            raise PluginError(f"{where}: gave NaN or infinity in {name!r}. No weight was changed.")
