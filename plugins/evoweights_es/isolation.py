"""Checks, once for a model, that its members can be computed in one forward pass: none may feel another's changes.

Two passes, each with two members, of which the first is the model itself. If what the first member's layers are given depends
on how the second one is perturbed, the layers do not divide the batch as it was put together (a table of positions that is asked
for all of them at once, statistics over the batch, sequences in another dimension), and members would get each other's noise.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from evoweights.errors import UsageError
from evoweights.genome import Segment
from evoweights.homes.part import Part
from evoweights.improvers import Subset
from evoweights.mounted import Mounted
from evoweights_es.batched import as_members, owners
from evoweights_es.changes import WAY_OUT, Changes
from evoweights_es.layers import layers_of
from evoweights_es.member_layers import Forward
from evoweights_es.windows import read_outside

TOLERANCE = 1e-3
"""Of what a layer is given, in its norm. The two passes differ in nothing else, so there is hardly any rounding in it."""


@dataclass(frozen=True)
class _Sight:
    """What the first member was given at a layer: how much, its projection on a fixed wave, and its norm."""

    layer: str
    size: int
    projection: float
    norm: float

    def agrees(self, other: "_Sight") -> bool:
        """Whether the other may be the same; what is not finite here says nothing."""
        return not math.isfinite(self.projection) or abs(self.projection - other.projection) <= TOLERANCE * self.norm


def refuse_reads_outside(mounted: Mounted, segments: Callable[[Part], list[Segment]], subset: Subset) -> None:
    """Make sure that perturbed parameters are read by the layers that own them alone.

    Raises:
        UsageError: one is read elsewhere, where it is not known for which member.
    """
    if (outside := read_outside(layers_of(mounted, segments), subset.scores)) is not None:
        raise UsageError(
            f"{outside} is read outside the forward of the layer that owns it, where it is not known which member it is read "
            f"for. {WAY_OUT}"
        )


def check(module: nn.Module, subset: Subset, plain: Changes, changed: Changes) -> int:
    """Make sure that members of ``module`` stay apart; bytes of the largest result of a layer for one member.

    ``plain`` and ``changed`` have the same first member; the last one of ``changed`` is far from it.

    Raises:
        UsageError: they do not.
    """
    before, _ = _pass(module, subset, plain)
    after, largest = _pass(module, subset, changed)
    for first, second in zip(before, after, strict=False):
        if first.size != second.size:
            break  # how long a text becomes, for one, may depend on all who write, and then nothing can be compared
        if not first.agrees(second):
            raise UsageError(
                f"{first.layer}: what one member is given depends on another member, so they cannot be computed in one "
                "forward pass. Set `members_at_once: 1`, or use `perturbation: gaussian`."
            )
    return largest // changed.copies


def _pass(module: nn.Module, subset: Subset, changes: Changes) -> tuple[list[_Sight], int]:
    """What the first member's layers are given when the subset is scored, and the bytes of the largest result."""
    seen: list[_Sight] = []
    sizes = [0]

    def watch(layer: str, rows: Tensor) -> None:
        if rows.is_floating_point():
            seen.append(_sight(layer or "the model", rows[0]))

    def noting(forward: Forward) -> Forward:
        def noted(*args: Any, **kwargs: Any) -> Any:
            made = forward(*args, **kwargs)
            sizes.extend(each.nbytes for each in tree_leaves(made) if isinstance(each, Tensor))
            return made

        return noted

    own = owners(module, {*changes.matrices, *changes.vectors})
    with as_members(module, changes, watch=watch):
        for owner in own:
            owner.module.__dict__["forward"] = noting(owner.module.__dict__["forward"])
        scores = subset.scores(changes.copies)
    return [*seen, _sight("the scores", scores.view(changes.copies, -1)[0])], max(sizes)


def _sight(layer: str, given: Tensor) -> _Sight:
    flat = given.detach().flatten().double()
    wave = torch.arange(flat.numel(), dtype=torch.float64, device=flat.device).cos_()
    return _Sight(layer, flat.numel(), float(torch.dot(flat, wave)), float(torch.linalg.vector_norm(flat)))
