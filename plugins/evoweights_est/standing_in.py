"""Things that stand in for others inside a module for a while: parameters, layers, attributes."""

import types
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, addmm, nn

Change = tuple[MutableMapping[str, Any], str, Any]
"""One of a module's own tables (of parameters, of modules, of attributes), a key and what it shall hold."""
_ABSENT = object()


@contextmanager
def standing_in(changes: Iterable[Change]) -> Iterator[None]:
    """Make changes, and take all of them back at the end, whatever happens."""
    undone: list[Change] = []
    try:
        for table, key, value in changes:
            undone.append((table, key, table.get(key, _ABSENT)))
            table[key] = value
        yield
    finally:
        for table, key, value in reversed(undone):
            if value is _ABSENT:
                del table[key]
            else:
                table[key] = value


def attribute(module: nn.Module, name: str, value: Any) -> Change:
    """A plain attribute of a module."""
    return (vars(module), name, value)


def parameter(module: nn.Module, name: str, made: nn.Parameter) -> Change:
    """A parameter of a module."""
    return (module._parameters, name, made)


def skipped(module: nn.Module, name: str) -> Change:
    """A child that gives back what it is given."""
    return (module._modules, name, Unchanged())


def scaled(projection: nn.Module, *, product: float, bias: float) -> Iterator[Change]:
    """A linear layer whose product and whose bias are multiplied."""
    yield attribute(projection, "product", product)
    yield attribute(projection, "bias_factor", bias)
    yield attribute(projection, "forward", types.MethodType(_scaled, projection))


class Unchanged(nn.Module):
    """A layer that leaves the residual stream as it is, to the bit."""

    def forward(self, hidden_states: Tensor, *arguments: Any, **named: Any) -> Tensor:
        """``hidden_states``; takes whatever else the model gives its blocks."""
        del arguments, named  # unused: only a layer that computes needs them
        return hidden_states


def _scaled(self: Any, x: Tensor) -> Tensor:
    product, of_bias, rows = self.product, self.bias_factor, x.reshape(-1, x.shape[-1])
    matrix = self.weight.T if isinstance(self, nn.Linear) else self.weight
    if self.bias is None:
        made = addmm(rows.new_zeros(()), rows, matrix, beta=0, alpha=product)
    else:
        made = addmm(self.bias, rows, matrix, beta=of_bias, alpha=product)
    return made.view(*x.shape[:-1], -1)
