"""Layers that compute another individual for every copy of their batch.

Every product with a matrix is shared; what a member's matrix has more than the layer's is of low rank and is added on the
way: ``y = x M^T + (x B_j) A_j^T`` for the rows of member j. The sum is started with the members' share and the large product is
added to it, as it would be to a bias, so that ``y`` is not passed over once more. Vectors (biases, norms) are small, so each
member brings its own.

Source: Sarkar et al. 2025, arXiv 2511.16652.
"""

import copy
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from evoweights.errors import UsageError
from evoweights_es.changes import WAY_OUT, Changes, Owner, Rows

Forward = Callable[..., Any]


def forward_for(module: nn.Module) -> Callable[[Owner, Changes, Rows], Forward]:
    """What makes the forward of several members."""
    transformers = sys.modules.get("transformers.pytorch_utils")  # without it there is no such layer
    kinds = {nn.Linear: _linear, nn.Embedding: _embedding, nn.LayerNorm: _layer_norm}
    if transformers is not None:
        kinds[transformers.Conv1D] = _conv1d
    for kind, maker in kinds.items():
        # A table with a forward of its own still looks up; what another layer does instead is not known.
        if isinstance(module, kind) and (kind is nn.Embedding or type(module).forward is kind.forward):
            return maker
    return by_vectors


def _linear(owner: Owner, changes: Changes, rows: Rows) -> Forward:
    outer = changes.matrices.get(owner.names.get("weight", ""))
    up, down = (None, None) if outer is None else (outer.left, outer.right)
    return _product(owner, changes, rows, lambda: owner.module.get_parameter("weight").t(), up, down)


def _conv1d(owner: Owner, changes: Changes, rows: Rows) -> Forward:
    outer = changes.matrices.get(owner.names.get("weight", ""))
    up, down = (None, None) if outer is None else (outer.right, outer.left)  # it is stored the other way round
    return _product(owner, changes, rows, lambda: owner.module.get_parameter("weight"), up, down)


def _product(
    owner: Owner, changes: Changes, rows: Rows, weight: Callable[[], Tensor], up: Tensor | None, down: Tensor | None
) -> Forward:
    """``x weight + (x down^T) up + bias``, where ``weight`` is ``[inputs, outputs]``."""
    bias = _values(owner, "bias", changes)

    def forward(input: Tensor) -> Tensor:
        given, matrix = rows.of(owner.path, input), weight()
        x = given.view(changes.copies, -1, given.shape[-1])
        start = None if bias is None else bias.to(x.dtype)[:, None]
        if up is None or down is None:
            assert start is not None, owner  # or nothing of it would be perturbed
            y = start.expand(changes.copies, x.shape[1], -1).contiguous()
        else:
            y = _low_rank(start, torch.bmm(x, down.transpose(1, 2)), up)
        y.view(-1, matrix.shape[1]).addmm_(x.view(-1, matrix.shape[0]), matrix)
        return rows.joined(y.view(*given.shape[:-1], matrix.shape[1]))

    return forward


def _low_rank(start: Tensor | None, inner: Tensor, up: Tensor) -> Tensor:
    """``start + inner up`` by members; of rank 1 there is a faster way than a product of matrices."""
    if up.shape[1] == 1:
        return inner * up if start is None else torch.addcmul(start, inner, up)
    return torch.bmm(inner, up) if start is None else torch.baddbmm(start, inner, up)


def _embedding(owner: Owner, changes: Changes, rows: Rows) -> Forward:
    outer, table = changes.matrices[owner.names["weight"]], owner.module
    assert isinstance(table, nn.Embedding)
    if table.max_norm is not None:
        raise UsageError(f"{owner.label}: it rewrites its weights (max_norm), so members cannot share it. {WAY_OUT}")

    def look_up(input: Tensor) -> Tensor:
        ids = rows.of(owner.path, input)
        y = functional.embedding(ids, table.weight)
        flat = ids.flatten(1)[:, None].expand(-1, outer.left.shape[1], -1)
        chosen = outer.left.gather(2, flat).transpose(1, 2)
        pages = y.view(changes.copies, -1, y.shape[-1])
        if outer.left.shape[1] == 1:
            pages.addcmul_(chosen, outer.right)
        else:
            pages.baddbmm_(chosen, outer.right)
        return rows.joined(y)

    if type(table).forward is nn.Embedding.forward:
        return look_up
    original = table.forward  # it scales what is looked up, or shifts the positions that are

    def forward(*args: Any, **kwargs: Any) -> Any:
        with _LookUps(owner, look_up):
            return original(*args, **kwargs)

    return forward


class _LookUps(TorchFunctionMode):
    """Sends what is looked up in a table to ``look_up`` and refuses any other use of its weights."""

    def __init__(self, owner: Owner, look_up: Forward) -> None:
        super().__init__()
        self.owner, self.look_up = owner, look_up

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the function, or look up in the table."""
        weight = self.owner.module.weight
        if func is functional.embedding and args[1] is weight:
            return self.look_up(args[0])
        made = func(*args, **(kwargs or {}))
        if isinstance(made, Tensor) and any(each is weight for each in tree_leaves((args, kwargs))):
            raise UsageError(f"{self.owner.label}: it uses its weights for more than looking up. {WAY_OUT}")
        return made


def _layer_norm(owner: Owner, changes: Changes, rows: Rows) -> Forward:
    norm = owner.module
    assert isinstance(norm, nn.LayerNorm)
    weight, bias = (_values(owner, attribute, changes) for attribute in ("weight", "bias"))
    assert weight is not None, owner  # a norm without weights has no bias either

    def forward(input: Tensor) -> Tensor:
        x = rows.of(owner.path, input)
        y = functional.layer_norm(x, norm.normalized_shape, None, None, norm.eps)
        pages = y.view(changes.copies, -1, norm.weight.numel())
        if pages.dtype == torch.float32:
            pages.mul_(weight[:, None]) if bias is None else torch.addcmul(
                bias[:, None], pages, weight[:, None], out=pages
            )
        else:  # in bfloat16 a weight near 1 has no room for noise
            scaled = pages.float().mul_(weight[:, None])
            pages.copy_(scaled if bias is None else scaled.add_(bias[:, None]))
        return rows.joined(y)

    return forward


def _values(owner: Owner, attribute: str, changes: Changes) -> Tensor | None:
    """What the members have for a vector, ``[copies, genes]``, or ``[1, genes]`` if they share it; None if there is none."""
    if (name := owner.names.get(attribute)) is not None:
        return changes.vectors[name]
    shared = dict(owner.module.named_parameters(recurse=False)).get(attribute)
    return None if shared is None else shared.detach().flatten()[None]


def by_vectors(owner: Owner, changes: Changes, rows: Rows) -> Forward:
    """The module's own forward, mapped over the members, each with vectors of its own."""
    original = copy.copy(owner.module)  # the same parameters; but its forward stays what it is
    own = {attribute: owner.module.get_parameter(attribute) for attribute in owner.names}
    values = {
        attribute: changes.vectors[name].view(changes.copies, *own[attribute].shape)
        for attribute, name in owner.names.items()
    }
    dtype = next(iter(own.values())).dtype

    def one(values: dict[str, Tensor], args: Any, kwargs: Any) -> Any:
        return torch.func.functional_call(original, values, args, kwargs)

    def divided(given: Any) -> Any:
        return rows.of(owner.path, given) if isinstance(given, Tensor) and given.ndim else given

    def joined(made: Any) -> Any:
        return rows.joined(made).to(dtype) if isinstance(made, Tensor) and made.is_floating_point() else made

    def forward(*args: Any, **kwargs: Any) -> Any:
        given = tree_map(divided, (args, kwargs))
        dims = tree_map(lambda each: 0 if isinstance(each, Tensor) and each.ndim else None, given)
        made = torch.vmap(one, in_dims=(0, *dims), randomness="different")(values, *given)
        return tree_map(joined, made)

    return forward
