"""The vary phase of the reference loop: what each event writes, from whole copies of everybody."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from evoweights.config.run_config import Scheduled
from evoweights.genome import Layout
from evoweights.operators import GeneOperator, Pair, Scene, TensorOperator
from evoweights.seeds import Noise
from evoweights_kernels import Call, apply_

Rows = list[dict[str, Any]]
Planned = tuple[Scheduled, tuple[Pair, ...]]


@dataclass(frozen=True)
class Event:
    """Row ``target`` is rewritten from the rows ``parents``, as they were in ``before``; ``written`` are its new tensors.

    None is written where they are not finite.
    """

    labels: tuple[str, ...]
    target: int
    parents: tuple[int, ...]
    before: Rows
    written: dict[str, Tensor] | None


def events(
    rows: Rows, layout: Layout, entries: Sequence[Scheduled], actors: Sequence[int], noise: Noise
) -> Iterator[Event]:
    """The events of a generation; each is to be carried out in ``rows`` before the next is asked for."""
    healthy = tuple(row for row, each in enumerate(rows) if not each["failed"])
    scores, losses = (tuple(each[name] for each in rows) for name in ("score", "train_loss"))
    plan: list[Planned] = []
    for entry in entries:
        scene = Scene(tuple(actors), healthy, scores, losses, noise.at(entry.label))
        plan.append((entry, tuple(entry.component.pairs(scene))))
    tables = {
        (entry.label, pair.target): entry.component.tile_scalars(layout, rows[pair.target]["tensors"]["weights"])
        for entry, pairs in plan
        for pair in pairs
        if isinstance(entry.component, GeneOperator)
    }
    for group in _together(plan):
        before = copy.deepcopy(rows)
        for pair in group[0][1]:
            fused = [entry for entry, _ in group]
            own = {name: each.clone() for name, each in rows[pair.target]["tensors"].items()}
            # An individual that is its own other parent is read where it is written.
            sources = [
                own["weights"] if row == pair.target else before[row]["tensors"]["weights"].clone()
                for row in pair.parents
            ]
            if isinstance(fused[0].component, TensorOperator):
                written = _rewritten(fused[0], layout, pair, own, sources[0].clone(), noise)
            else:
                calls = [_call(each, own, sources, tables[each.label, pair.target], pair, noise) for each in fused]
                live = layout.live(layout.scope(fused[0].component.scope))
                apply_(calls, seed=noise.seed, live=live, backend="reference")
                written = own
            yield Event(tuple(each.label for each in fused), pair.target, pair.parents, before, written)


def _together(plan: Sequence[Planned]) -> Iterator[list[Planned]]:
    """Neighbours that make one event of a pair: gene kernels on the same pairs and scope, nobody both read and rewritten."""
    group: list[Planned] = []
    for entry, pairs in plan:
        if group and not _joins(group[-1], (entry, pairs)):
            yield group
            group = []
        group.append((entry, pairs))
    if group:
        yield group


def _joins(last: Planned, this: Planned) -> bool:
    kernels = all(isinstance(each.component, GeneOperator) for each, _ in (last, this))
    read = {row for pair in this[1] for row in pair.parents if row != pair.target}
    are_apart = read.isdisjoint(pair.target for pair in this[1])
    return kernels and last[1] == this[1] and last[0].component.scope == this[0].component.scope and are_apart


def _rewritten(
    entry: Scheduled, layout: Layout, pair: Pair, own: dict[str, Tensor], source: Tensor, noise: Noise
) -> dict[str, Tensor] | None:
    """What an operator in plain torch makes of the target."""
    segments = {each.name: each for each in layout.scope(entry.component.scope)}
    target, other = (
        {name: each.view(one).clone() for name, each in segments.items()} for one in (own["weights"], source)
    )
    place = noise.at(entry.label, "individual", pair.target, "from", pair.source)
    for name, tensor in entry.component.rewrite(target, other, place).items():
        if not torch.isfinite(tensor).all():
            return None
        segments[name].view(own["weights"]).copy_(tensor.detach())
    return own


def _call(
    entry: Scheduled,
    own: Mapping[str, Tensor],
    sources: Sequence[Tensor],
    tables: Mapping[str, Tensor],
    pair: Pair,
    noise: Noise,
) -> Call:
    """A gene kernel on the target's tensors."""
    operator, tensors = entry.component, dict(tables)
    slots = {slot.name.rpartition(".")[2]: own[slot.name] for slot in operator.slots}
    genes = [each.name for each in operator.kernel.arguments if each.role.__name__ in ("Gene", "State")]
    tensors[genes[0]] = own["weights"]
    others = [name for name in genes[1:] if name not in slots]
    tensors |= {name: slots[name] for name in genes[1:] if name in slots}
    tensors |= dict(zip(others, sources if len(sources) > 1 else list(sources) * len(others), strict=True))
    here = noise.at(entry.label, "individual", pair.target, "from", pair.source)
    streams = {each.name: here.stream(each.name) for each in operator.kernel.arguments if each.is_noise}
    if own["weights"].dtype == torch.bfloat16 and operator.rounding == "stochastic":
        streams["rounding"] = here.stream("rounding")
    return Call(kernel=operator.kernel, tensors=tensors, scalars=operator.scalars(), streams=streams)
