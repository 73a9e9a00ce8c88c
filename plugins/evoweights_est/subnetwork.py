"""A subnetwork of a mounted individual: its genes in buffers of their own, and its layers computing with them.

Only the genes that are in are there, with their gradient and their slots; an optimizer that is given the subnetwork can
neither read nor write any other.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from torch import Tensor, nn

from evoweights.genome import Segment
from evoweights.homes.copies import CopyWatch
from evoweights.homes.part import Part
from evoweights.mounted import Mounted
from evoweights_est.drawing import Draw
from evoweights_est.families import KEY_VALUE, NEURON, QUERY, Block
from evoweights_est.parts import SmallerPart, smaller_part, tail, whole_tail
from evoweights_est.places import Places
from evoweights_est.shares import Shares
from evoweights_est.standing_in import Change, attribute, parameter, scaled, skipped, standing_in


@dataclass(frozen=True, eq=False)
class Chosen:
    """What is computed of a block: the numbers of its units, by unit, ascending."""

    block: Block
    units: Mapping[str, Tensor]

    def share(self, unit: str) -> float:
        """Share of a unit that is computed."""
        return len(self.units[unit]) / self.block.units(unit)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out."""
        return all(self.share(unit) == 1.0 for unit in self.units)

    def places(self) -> Iterator[tuple[str, int, Places]]:
        """The parameters that are cut, by name, with dimension and places."""
        known: dict[tuple[str, int, int], Places] = {}
        for name, cut in self.block.cuts.items():
            if self.share(cut.unit) == 1.0:
                continue
            key = (cut.unit, cut.width, cut.copies)
            if key not in known:
                count = self.block.units(cut.unit)
                known[key] = Places.of_units(self.units[cut.unit], count, width=cut.width, copies=cut.copies)
            yield name, cut.dim, known[key]


def choose(blocks: Sequence[Block], draw: Draw, shares: Shares, *, protect_ends: bool) -> list[Chosen | None]:
    """What a draw takes of every block; None of those that are skipped."""
    active = set(draw.layers(len(blocks), shares.layers, protect_ends=protect_ends).tolist())
    heads = draw.heads([(each.key_values, each.queries_each) for each in blocks], shares.heads)
    neurons = draw.neurons([each.neurons for each in blocks], shares.neurons)
    return [
        Chosen(block, {QUERY: heads[i].queries, KEY_VALUE: heads[i].key_values, NEURON: neurons[i]})
        if i in active
        else None
        for i, block in enumerate(blocks)
    ]


@dataclass(frozen=True)
class Scales:
    """Whether outputs are divided by the share of heads, neurons or layers that is computed, so that their mean stays."""

    heads: bool = True
    neurons: bool = True
    layers: bool = False


@dataclass(frozen=True, eq=False)
class Subnetwork:
    """The chosen blocks of a mounted individual (None: a block that is skipped), with the slots of these names.

    ``mounted`` is what an optimizer is given, while :meth:`in_place` lasts.
    """

    whole: Mounted
    chosen: Sequence[Chosen | None]
    blocks: Sequence[Block]
    slots: Sequence[str]
    scales: Scales = Scales()
    mounted: Mounted = field(init=False)
    _smaller: tuple[SmallerPart, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Gather what is in."""
        cuts = {name: (dim, places) for each in self.chosen if each for name, dim, places in each.places()}
        left_out = tuple(f"{block.path}." for block, each in self._pairs() if each is None)
        own, shared = self.whole.own, self.whole.shared
        ends = [len(part.layout.segments) for part in (own, shared)]
        if not shared.layout.count:
            # Nothing is shared: what is whole at the end of the genome, the embeddings, need not be copied then.
            ends[0] = whole_tail(own, cuts, left_out)
            shared = tail(own, ends[0], self.slots)
        smaller = [
            smaller_part(part, cuts, left_out, self.slots, end=end)
            for part, end in zip((self.whole.own, self.whole.shared), ends, strict=True)
        ]
        own, shared = (part if each is None else each.small for part, each in zip((own, shared), smaller, strict=True))
        object.__setattr__(self, "_smaller", tuple(each for each in smaller if each is not None))
        mounted = replace(self.whole, own=own, shared=shared, share=self.share, _watch=CopyWatch())
        object.__setattr__(self, "mounted", mounted)

    def in_place(self) -> AbstractContextManager[None]:
        """While it lasts, the module computes with the subnetwork."""
        return standing_in(self._changes())

    def share(self, name: str) -> float:
        """Share of a parameter's elements that is computed with; 0 in a layer that is skipped."""
        return self._shares.get(name, 1.0)

    @functools.cached_property
    def _shares(self) -> dict[str, float]:
        left_out = tuple(f"{block.path}." for block, each in self._pairs() if each is None)
        parts = (self.whole.own, self.whole.shared)
        names = [segment.name for part in parts for segment in part.layout.segments]
        shares = {name: 0.0 for name in names if name.startswith(left_out)}
        pieces = [piece for each in self._smaller for piece in each.pieces]
        return shares | {each.whole.name: each.small.count / max(1, each.whole.count) for each in pieces}

    def write_back_(self) -> None:
        """Put what the optimizer changed into the individual; what is not in the subnetwork is not touched."""
        for each in self._smaller:
            each.write_back_()
        self.whole.memory = self.mounted.memory

    def _pairs(self) -> Iterator[tuple[Block, Chosen | None]]:
        return zip(self.blocks, self.chosen, strict=True)

    def _changes(self) -> Iterator[Change]:
        model = self.whole.module
        owners = _owners(model)
        for each in self._smaller:
            for piece in each.pieces:
                yield from _tensor(owners[piece.whole.name], piece.small, each.small)
        active = sum(each is not None for each in self.chosen) / len(self.chosen)
        for block, each in self._pairs():
            if each is None:
                path, _, number = block.path.rpartition(".")
                yield skipped(model.get_submodule(path), number)
                continue
            counts = {unit: len(units) for unit, units in each.units.items()}
            for name, value in block.attributes(counts[QUERY], counts[KEY_VALUE]).items():
                yield attribute(block.attention, name, value)
            by_layer = 1 / active if self.scales.layers else 1.0
            for unit, is_scaled in ((QUERY, self.scales.heads), (NEURON, self.scales.neurons)):
                product = by_layer / each.share(unit) if is_scaled else by_layer
                if product != 1.0:
                    yield from scaled(block.outputs[unit], product=product, bias=by_layer)


def _owners(model: nn.Module) -> dict[str, list[tuple[nn.Module, str]]]:
    """The layers that have each parameter, by its first name in the model, and what they call it; tied ones have several."""
    owners: dict[int, list[tuple[nn.Module, str]]] = {}
    for module in model.modules():
        for key, each in module.named_parameters(recurse=False, remove_duplicate=False):
            owners.setdefault(id(each), []).append((module, key))
    return {name: owners[id(each)] for name, each in model.named_parameters()}


def _tensor(owners: Sequence[tuple[nn.Module, str]], segment: Segment, part: Part) -> Iterator[Change]:
    """A parameter of the subnetwork, and what the layers that have it say of its size."""
    values = segment.view(part.compute)
    made = nn.Parameter(values, requires_grad=segment.role != "frozen" and part.takes_gradients)
    if made.requires_grad:
        made.grad = segment.view(part.gradient)
    for module, key in owners:
        yield parameter(module, key, made)
        if key == "weight" and isinstance(module, nn.Linear):
            yield attribute(module, "out_features", values.shape[0])
            yield attribute(module, "in_features", values.shape[1])
        elif key == "weight" and {"nx", "nf"} <= vars(module).keys():
            yield attribute(module, "nx", values.shape[0])
            yield attribute(module, "nf", values.shape[1])
