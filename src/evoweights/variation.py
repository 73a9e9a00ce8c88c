"""The vary phase: operators rewrite rows of a population where it lives; consecutive gene operators become one launch."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from evoweights.contract import calling
from evoweights.errors import PluginError
from evoweights.genome import Layout
from evoweights.operators import GeneOperator, Pair, PairOperator, Scene, TensorOperator
from evoweights.population import WEIGHTS, Individual, Population
from evoweights.records import VaryRecord
from evoweights.seeds import Noise
from evoweights_kernels import Call, KernelError, apply_


@dataclass(frozen=True)
class Named:
    """An operator of this generation and the label of its entry in the configuration, such as ``1-crossover``."""

    label: str
    operator: PairOperator


def vary(
    population: Population,
    entries: Sequence[Named],
    scene: Scene,
    *,
    generation: int,
    noise: Noise,
    backend: str,
    optimizer_state: str,
) -> list[VaryRecord]:
    """Apply the operators in order; afterwards every rewritten row has a new id, its parents and unknown fitness.

    A source (weights, optimizer state, identity) is read as it was before the phase's operator began, whatever the order
    of the rows.

    Raises:
        PluginError: an operator raised, or gave tensors of another name, shape or dtype, or non-finite ones.
    """
    records = []
    measured = _measure(population, entries, scene)
    optimizer = [each.name for each in population.slots if each.role == "optimizer"]
    copied = optimizer if optimizer_state == "copy" else []
    for group, pairs in _groups(population.layout, entries, scene):
        origins = list(population.individuals)
        snapshots: dict[int, dict[str, Tensor]] = {}
        for index, pair in enumerate(pairs):
            if pair.target not in snapshots and any(each.source == pair.target for each in pairs[index + 1 :]):
                snapshots[pair.target] = {n: population.row(pair.target, n).clone() for n in (WEIGHTS, *copied)}
            tensors = snapshots.get(pair.source, {}) if pair.source != pair.target else {}
            source = _Source(population, pair.source, origins[pair.source], tensors)
            weights = source.tensor(WEIGHTS)
            ran = _rewrite_(population, group, pair, weights, measured=measured, noise=noise, backend=backend)
            written = {slot.name for each in group for slot in each.operator.slots}
            kept = [each for each in optimizer if optimizer_state == "keep" and each not in written]
            parents = [source.individual.id]
            new = population.rewritten(pair.target, parents=parents, generation=generation, kept=kept)
            _carry_optimizer_state_(population, pair, source, optimizer_state)
            labels = tuple(each.label for each in group)
            records.append(VaryRecord(generation, labels, pair.target, new.id, new.parents, (pair.source,), ran))
    return records


Measured = Mapping[tuple[str, int], Mapping[str, Tensor]]
"""Tile scalars by an entry's label and the target's row."""


def _measure(population: Population, entries: Sequence[Named], scene: Scene) -> Measured:
    """The tile scalars of every operator and target, before anything is rewritten, so that they do not depend on fusion."""
    return {
        (entry.label, pair.target): entry.operator.tile_scalars(population.layout, population.row(pair.target))
        for entry in entries
        if isinstance(entry.operator, GeneOperator)
        for pair in entry.operator.pairs(scene)
    }


@dataclass(frozen=True)
class _Source:
    """A row as it was when the phase's operator began; ``tensors`` are copies of what has been overwritten since."""

    population: Population
    row: int
    individual: Individual
    tensors: Mapping[str, Tensor]

    def tensor(self, name: str) -> Tensor:
        return self.tensors[name] if name in self.tensors else self.population.row(self.row, name)


def _groups(layout: Layout, entries: Sequence[Named], scene: Scene) -> Iterator[tuple[list[Named], list[Pair]]]:
    """Consecutive operators that can be one launch per pair, with their pairs.

    Gene operators fuse when they rewrite the same rows from the same sources over the same scope, and no source is
    another pair's target: then applying all of them to one pair after the other is the same as one after the other.
    """

    def key(entry: Named) -> tuple[object, ...]:
        pairs = tuple(entry.operator.pairs(scene))
        sources = {pair.source for pair in pairs if pair.source != pair.target}
        fusible = isinstance(entry.operator, GeneOperator) and not sources & {pair.target for pair in pairs}
        return (pairs, entry.operator.scope, None if fusible else entry.label)

    for _, group in itertools.groupby(entries, key):
        fused = list(group)
        yield fused, fused[0].operator.pairs(scene)


def _rewrite_(
    population: Population,
    group: Sequence[Named],
    pair: Pair,
    source: Tensor,
    *,
    measured: Measured,
    noise: Noise,
    backend: str,
) -> str:
    """Apply a group to one pair in place; the backend that ran."""
    first = group[0].operator
    segments = population.layout.scope(first.scope, where=f"vary.{group[0].label}.scope")
    if isinstance(first, TensorOperator):
        place = noise.at(group[0].label, "individual", pair.target, "from", pair.source)
        _rewrite_tensors_(population, first, pair, source, [each.name for each in segments], place)
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
                source,
                measured[entry.label, pair.target],
                noise.at(entry.label),
            )
            for entry in group
            if isinstance(entry.operator, GeneOperator)
        ]
        return apply_(calls, seed=noise.seed, live=live, backend=backend)
    except KernelError as error:
        names = " + ".join(entry.label for entry in group)
        raise PluginError(f"vary.{names} on individual {pair.target}: {error}") from error


def gene_call(
    population: Population,
    operator: GeneOperator,
    pair: Pair,
    target: Tensor,
    source: Tensor,
    tile_scalars: Mapping[str, Tensor],
    noise: Noise,
) -> Call:
    """The operator's kernel bound to one target, its slots and one source.

    Raises:
        PluginError: the kernel keeps a state that is no slot of the operator.
    """
    slots = {slot.name.rpartition(".")[2]: slot.name for slot in operator.slots}
    tensors: dict[str, Tensor] = dict(tile_scalars)
    genes = [each for each in operator.kernel.arguments if each.role.__name__ in ("Gene", "State")]
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
            tensors[argument.name] = source
    # The source is part of the path: a row that two leaders rewrite draws anew for each.
    here = noise.at("individual", pair.target, "from", pair.source)
    noisy = [each.name for each in operator.kernel.arguments if each.is_noise]
    streams = {name: here.stream(name) for name in noisy}
    if target.dtype == torch.bfloat16 and operator.rounding == "stochastic":
        streams["rounding"] = here.stream("rounding")
    return Call(kernel=operator.kernel, tensors=tensors, scalars=operator.scalars(), streams=streams)


def _rewrite_tensors_(
    population: Population, operator: TensorOperator, pair: Pair, source: Tensor, names: list[str], noise: Noise
) -> None:
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


def _carry_optimizer_state_(population: Population, pair: Pair, source: _Source, policy: str) -> None:
    """What happens to the optimizer's state of a rewritten genome: ``keep`` it, ``reset`` it, or ``copy`` the source's."""
    if policy == "keep":
        return
    for slot in population.slots:
        if slot.role != "optimizer":
            continue
        if policy == "reset":
            population.row(pair.target, slot.name).zero_()
        elif pair.source != pair.target:
            population.row(pair.target, slot.name).copy_(source.tensor(slot.name))
    if policy == "reset":
        population.individuals[pair.target].counters = {}
    else:
        population.individuals[pair.target].counters = dict(source.individual.counters)
