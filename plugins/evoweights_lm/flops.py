"""Floating-point operations of a language model by a formula: no forward pass is needed, and parts of a model can be counted.

A matrix takes two for each of its elements and each token; attention takes four for each pair of tokens and each element of
its heads, the upper triangle included, as torch's counter has it; embeddings, norms and activations take none.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast, final
from weakref import WeakKeyDictionary

from torch import nn

from evoweights_lm.blocks import find_blocks

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Share = Callable[[str], float]
"""The share of a parameter's elements, by its name, that a pass computes with."""

ABOUT_AGAIN = {"none": 0.0, "mlp": 0.5, "blocks": 1.0}
"""About what a backward pass computes again, as a share of a forward pass, where the matrices are not known."""


@dataclass(frozen=True)
class Reading:
    """What goes through a model: ``tokens`` through its blocks, ``predictions`` through its head; ``pairs`` are those of a
    token and one of its sequence that it may look at, itself and later ones included."""

    tokens: int
    pairs: int
    predictions: int

    @classmethod
    def of(cls, sequences: int, length: int) -> "Reading":
        """Sequences that are read as a whole, with a prediction at every token."""
        tokens = sequences * length
        return cls(tokens, tokens * length, tokens)


@dataclass(frozen=True)
class Matrices:
    """The matrices of a whole model, by parameter: the number of elements in its ``blocks`` and in its ``head``.

    The ``attention`` of a block has as many elements in all of its heads as its output projection takes. ``mlps`` are the
    names of those in a block's ``mlp``, ``last`` those of each block's last product, which no backward pass needs again.
    """

    blocks: Mapping[str, int]
    head: Mapping[str, int]
    attention: Mapping[str, int]
    mlps: frozenset[str] = frozenset()
    last: frozenset[str] = frozenset()

    def forward(self, reading: Reading, share: Share | None = None) -> int:
        """FLOPs of a forward pass; ``share`` leaves parts of matrices out."""
        head = 2 * reading.predictions * _elements(self.head, share)
        scores = 4 * reading.pairs * _elements(self.attention, share)
        return round(head + scores + 2 * reading.tokens * _elements(self.blocks, share))

    def again(self, what: str, reading: Reading, share: Share | None = None) -> int:
        """FLOPs of what a backward pass computes again: ``mlp`` of every block, whole ``blocks`` or ``none``."""
        among = {"none": frozenset(), "mlp": self.mlps, "blocks": self.blocks.keys()}[what]
        again = {name: count for name, count in self.blocks.items() if name in among and name not in self.last}
        scores = 4 * reading.pairs * _elements(self.attention, share) if what == "blocks" else 0
        return round(2 * reading.tokens * _elements(again, share) + scores)


def _elements(matrices: Mapping[str, int], share: Share | None) -> float:
    if share is None:
        return sum(matrices.values())
    return sum(count * share(name) for name, count in matrices.items())


def matrices_of(model: nn.Module) -> Matrices:
    """The matrices of a model of one of the kinds in :data:`evoweights_lm.loss.PLAIN_HEADS`, as it is built."""
    names = {id(each): name for name, each in model.named_parameters()}
    head = cast("PreTrainedModel", model).get_output_embeddings()
    assert head is not None  # a causal language model has one
    inside: dict[str, int] = {}
    attention: dict[str, int] = {}
    mlps: set[str] = set()
    last: set[str] = set()
    for block in find_blocks(model)[1]:
        found = {each: (names[id(weight)], weight) for each, weight in _linear(block)}
        inside |= {name: weight.numel() for name, weight in found.values()}
        inner = [name for each, (name, _) in found.items() if each.split(".")[0] == "mlp"]
        mlps.update(inner)
        last.update(inner[-1:])
        # The last layer of the attention is the projection of its heads' outputs.
        projection = [each for each in found if "att" in each.split(".")[0]][-1]
        name, weight = found[projection]
        is_input_first = not isinstance(block.get_submodule(projection), nn.Linear)
        attention[name] = weight.shape[0 if is_input_first else 1]
    return Matrices(inside, {names[id(head.weight)]: head.weight.numel()}, attention, frozenset(mlps), frozenset(last))


@final
class KnownMatrices:
    """The matrices of models, noted when they are first asked for: later an improver may let a model compute with parts."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[nn.Module, Matrices] = WeakKeyDictionary()

    def of(self, model: nn.Module) -> Matrices:
        """Those of a model that was whole when it was first asked for."""
        if model not in self._known:
            self._known[model] = matrices_of(model)
        return self._known[model]


def _linear(block: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The names and weights of the linear layers in a block, in the order in which they were made."""
    from transformers.pytorch_utils import Conv1D

    for name, layer in block.named_modules():
        if isinstance(layer, nn.Linear | Conv1D):
            yield name, cast(nn.Parameter, layer.weight)
