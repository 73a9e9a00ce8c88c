"""The vary phase: operators rewrite rows of a population where it lives; consecutive gene operators become one launch."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from evoweights.contract import calling
from evoweights.errors import PluginError, ResourceError
from evoweights.operators import GeneOperator, Pair, Scene, TensorOperator
from evoweights.population import WEIGHTS, Population
from evoweights.records import VaryRecord
from evoweights.seeds import Noise
from evoweights.varying.losses import RowLosses
from evoweights.varying.named_tensors import rewrite_tensors_
from evoweights.varying.plans import Measured, Named, groups, measure, planned
from evoweights.varying.sources import Before, carry_optimizer_state_, parents_by_name
from evoweights_kernels import CacheError, Call, KernelError, apply_


def vary(
    population: Population,
    entries: Sequence[Named],
    scene: Scene,
    *,
    generation: int,
    noise: Noise,
    backend: str,
    optimizer_state: str,
    losses: RowLosses | None = None,
) -> list[VaryRecord]:
    """Apply the operators in order; afterwards every rewritten row has a new id, its parents and unknown fitness.

    With ``losses``, rows are measured between one operator and the next, which are then not fused; the bits are the same.

    A source (weights, optimizer state, identity) is read as it was before the phase's operator began, whatever the order
    of the rows.

    Raises:
        PluginError: an operator raised, or gave tensors of another name, shape or dtype, or non-finite ones.
        ResourceError: memory ran out, or generated kernels cannot be written.
    """
    records = []
    plan = planned(entries, scene, noise)
    measured = measure(population, plan)
    optimizer = [each.name for each in population.slots if each.role == "optimizer"]
    copied = optimizer if optimizer_state == "copy" else []
    for group, pairs in groups(plan):
        before = Before(population, pairs, (WEIGHTS, *copied))
        for index, pair in enumerate(pairs):
            sources = before.sources(index)
            weights = [each.tensor(WEIGHTS) for each in sources]
            parts = [group] if losses is None else [[each] for each in group]
            found = [] if losses is None else [losses.before(pair.target)]
            for part in parts:
                ran = _rewrite_(population, part, pair, weights, measured=measured, noise=noise, backend=backend)
                found += [] if losses is None else [losses.after(pair.target)]
            written = {slot.name for each in group for slot in each.operator.slots}
            kept = [each for each in optimizer if optimizer_state == "keep" and each not in written]
            parents = [each.individual.id for each in sources]
            new = population.rewritten(pair.target, parents=parents, generation=generation, kept=kept)
            carry_optimizer_state_(population, pair, sources[0], optimizer_state)
            labels = tuple(each.label for each in group)
            record = VaryRecord(generation, labels, pair.target, new.id, new.parents, pair.parents, ran)
            records.append(record if losses is None else replace(record, losses=tuple(found)))
    return records


def _rewrite_(
    population: Population,
    group: Sequence[Named],
    pair: Pair,
    sources: Sequence[Tensor],
    *,
    measured: Measured,
    noise: Noise,
    backend: str,
) -> str:
    """Apply a group to one pair in place; the backend that ran."""
    first = group[0].operator
    segments = population.layout.scope(first.scope, where=f"vary.{group[0].label}.scope")
    if isinstance(first, TensorOperator):
        if pair.others:
            raise PluginError(f"operator {first.name}: an operator over named tensors reads one parent, found {pair}.")
        place = noise.at(group[0].label, "individual", pair.target, "from", pair.source)
        rewrite_tensors_(population, first, pair, sources[0], [each.name for each in segments], place)
        return "torch"
    target = population.row(pair.target)
    live = population.layout.live(segments, device=target.device)
    try:
        calls = [
            gene_call(
                population,
                entry.operator,
                pair,
                target,
                sources[0],
                measured[entry.label, pair.target],
                noise.at(entry.label),
                others=sources[1:],
            )
            for entry in group
            if isinstance(entry.operator, GeneOperator)
        ]
        return apply_(calls, seed=noise.seed, live=live, backend=backend)
    except KernelError as error:
        names = " + ".join(entry.label for entry in group)
        blamed = ResourceError if isinstance(error, CacheError) else PluginError
        raise blamed(f"vary.{names} on individual {pair.target}: {error}") from error


def gene_call(
    population: Population,
    operator: GeneOperator,
    pair: Pair,
    target: Tensor,
    source: Tensor,
    tile_scalars: Mapping[str, Tensor],
    noise: Noise,
    *,
    others: Sequence[Tensor] = (),
) -> Call:
    """The operator's kernel bound to one target, its slots, one source and the pair's further parents.

    Raises:
        PluginError: the kernel keeps a state that is no slot of the operator, or reads another number of parents.
    """
    slots = {slot.name.rpartition(".")[2]: slot.name for slot in operator.slots}
    tensors: dict[str, Tensor] = dict(tile_scalars)
    genes = [each for each in operator.kernel.arguments if each.role.__name__ in ("Gene", "State")]
    read = [each.name for each in genes[1:] if each.role.__name__ == "Gene" and each.name not in slots]
    parents = parents_by_name(operator, read, [source, *others])
    for index, argument in enumerate(genes):
        if index == 0:
            tensors[argument.name] = target
        elif argument.name in slots:
            tensors[argument.name] = population.row(pair.target, slots[argument.name])
        elif argument.role.__name__ == "State":
            raise PluginError(
                f"operator {operator.name}: kernel {operator.kernel.name} keeps {argument.name!r}, which is no slot of it. "
                f"Declare Slot('{operator.name}.{argument.name}', 'state') in `slots`."
            )
        else:
            tensors[argument.name] = parents[argument.name]
    # The source is part of the path: a row that two leaders rewrite draws anew for each.
    here = noise.at("individual", pair.target, "from", pair.source)
    streams = {each.name: here.stream(each.name) for each in operator.kernel.arguments if each.is_noise}
    if target.dtype == torch.bfloat16 and operator.rounding == "stochastic":
        streams["rounding"] = here.stream("rounding")
    with calling(f"operator {operator.name}: scalars"):
        scalars = operator.scalars()
    return Call(kernel=operator.kernel, tensors=tensors, scalars=scalars, streams=streams)
