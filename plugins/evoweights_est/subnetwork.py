"""A subnetwork of a mounted individual: its genes in buffers of their own, and its layers computing with them.

Only the genes that are in are there, with their gradient and their slots; an optimizer that is given the subnetwork can
neither read nor write any other.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from evoweights.genome import Layout, Segment
from evoweights.homes.copies import CopyWatch
from evoweights.homes.part import Part
from evoweights.mounted import Mounted
from evoweights_est.families import KEY_VALUE, NEURON, QUERY, Block
from evoweights_est.places import Places
from evoweights_est.standing_in import Change, attribute, parameter, scaled, skipped, standing_in
from evoweights_kernels import TILE


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


@dataclass(frozen=True)
class Scales:
    """Whether outputs are divided by the share of heads, neurons or layers that is computed, so that their mean stays."""

    heads: bool = True
    neurons: bool = True
    layers: bool = False


@dataclass(frozen=True, eq=False)
class _Piece:
    """A segment of a part, what stands for it, and the places it has of it along a dimension; None has all."""

    whole: Segment
    small: Segment
    places: tuple[int, Places] | None

    def take(self, source: Tensor, target: Tensor) -> None:
        """Copy its genes from a vector of the part to one of the subnetwork."""
        here, there = self.whole.view(source), self.small.view(target)
        if self.places is None:
            there.copy_(here)
        else:
            self.places[1].take(here, self.places[0], out=there)

    def put_(self, source: Tensor, target: Tensor) -> None:
        """Copy its genes from a vector of the subnetwork to one of the part."""
        here, there = self.small.view(source), self.whole.view(target)
        if self.places is None:
            there.copy_(here)
        else:
            self.places[1].put_(there, self.places[0], here)


@dataclass(frozen=True, eq=False)
class _Smaller:
    """A part, and the one that holds its genes of the subnetwork."""

    whole: Part
    small: Part
    pieces: tuple[_Piece, ...]

    def write_back_(self) -> None:
        """Put weights, slots and counters where they belong."""
        for piece in self.pieces:
            piece.put_(self.small.weights, self.whole.weights)
            for name, slot in self.small.slots.items():
                piece.put_(slot, self.whole.slots[name])
        self.whole.counters = dict(self.small.counters)


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
    _smaller: tuple[_Smaller, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Gather what is in."""
        cuts = {name: (dim, places) for each in self.chosen if each for name, dim, places in each.places()}
        left_out = tuple(f"{block.path}." for block, each in self._pairs() if each is None)
        smaller = [_smaller(part, cuts, left_out, self.slots) for part in (self.whole.own, self.whole.shared)]
        own, shared = (
            part if each is None else each.small
            for part, each in zip((self.whole.own, self.whole.shared), smaller, strict=True)
        )
        object.__setattr__(self, "_smaller", tuple(each for each in smaller if each is not None))
        mounted = replace(self.whole, own=own, shared=shared, _watch=CopyWatch())
        object.__setattr__(self, "mounted", mounted)

    def in_place(self) -> AbstractContextManager[None]:
        """While it lasts, the module computes with the subnetwork."""
        return standing_in(self._changes())

    def share(self, name: str) -> float:
        """Share of a parameter's elements that is computed with; 0 in a layer that is skipped."""
        return self._shares.get(name, 1.0)

    @functools.cached_property
    def _shares(self) -> dict[str, float]:
        shares = {segment.name: 0.0 for each in self._smaller for segment in each.whole.layout.segments}
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
                    yield scaled(block.outputs[unit], product=product, bias=by_layer, is_input_first=block.is_fused)


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


def _smaller(
    part: Part, cuts: Mapping[str, tuple[int, Places]], left_out: tuple[str, ...], slots: Sequence[str]
) -> _Smaller | None:
    """The genes of a part that are in; None if all are."""
    names = [segment.name for segment in part.layout.segments]
    if not any(name in cuts or name.startswith(left_out) for name in names):
        return None
    pieces, start = [], 0
    for segment in part.layout.segments:
        if segment.name.startswith(left_out):
            continue
        places, shape = cuts.get(segment.name), list(segment.shape)
        if places is not None:
            shape[places[0]] = len(places[1].index)
        small = Segment(segment.name, tuple(shape), segment.role, start)
        pieces.append(_Piece(segment, small, places))
        start += -(-small.count // TILE) * TILE
    layout = Layout(tuple(each.small for each in pieces), part.layout.dtype)
    return _Smaller(part, _gathered(part, layout, pieces, slots), tuple(pieces))


def _gathered(part: Part, layout: Layout, pieces: Sequence[_Piece], slots: Sequence[str]) -> Part:
    def taken(source: Tensor) -> Tensor:
        vector = source.new_zeros(layout.size)
        for piece in pieces:
            piece.take(source, vector)
        return vector

    weights = taken(part.weights)
    return Part(
        layout,
        weights,
        gradient=part.gradient.new_zeros(layout.size if part.takes_gradients else 0),
        compute=weights if part.compute is part.weights else weights.to(part.compute.dtype),
        slots={name: taken(part.slots[name]) for name in slots},
        counters=dict(part.counters),
    )
