"""Floating-point operations of a module's forward pass, counted by torch while one is taken."""

import math
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, final
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from evoweights.ledger.eager import eagerly

Share = Callable[[str], float]
"""The share of a parameter's elements, by its name, that a pass computes with."""


def flops_of(forward: Callable[[], object]) -> int:
    """What torch's counter says of a call: products of matrices, convolutions and attention; a multiplication and an
    addition are two. Nothing is compiled, and torch's random state is put back."""
    with (
        torch.random.fork_rng(devices=range(torch.cuda.device_count())),
        # Nothing is compiled where torch's compiler was never loaded, which takes most of a second.
        eagerly() if "torch._dynamo" in sys.modules else nullcontext(),
        FlopCounterMode(display=False, custom_mapping=_unregistered()) as counter,
    ):
        forward()
    return counter.get_total_flops()


def _unregistered() -> dict[Any, Any]:
    """Operations that torch's own table lacks."""

    def attention(query: Any, key: Any, value: Any, *others: object, out_shape: object = None, **named: object) -> int:
        del others, out_shape, named  # unused: mask and scale do not change the count
        *heads, places, width = query
        return 2 * math.prod(heads) * places * key[-2] * (width + value[-1])

    return {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention}


@dataclass(frozen=True)
class _Counted:
    """The FLOPs of a whole module, and the elements of its matrices by name."""

    flops: int
    sizes: Mapping[str, int]


@final
class ForwardFlops:
    """FLOPs of the forward passes of modules, each counted once, when it is first asked for."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[nn.Module, _Counted] = WeakKeyDictionary()

    def flops(self, module: nn.Module, forward: Callable[[], object], share: Share | None) -> int:
        """The FLOPs of ``forward``, which goes through ``module``; with a share, those of its matrices' elements."""
        if module not in self._known:
            sizes = {name: each.numel() for name, each in module.named_parameters() if each.ndim > 1}
            self._known[module] = _Counted(flops_of(forward), sizes)
        counted = self._known[module]
        total = sum(counted.sizes.values())
        if share is None or not total:
            return counted.flops
        return round(counted.flops * sum(size * share(name) for name, size in counted.sizes.items()) / total)
