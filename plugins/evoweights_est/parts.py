"""A part of a mounted individual with some of its genes only, gathered into buffers of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from evoweights.genome import Layout, Segment
from evoweights.homes.part import Part
from evoweights_est.places import Places
from evoweights_kernels import TILE


@dataclass(frozen=True, eq=False)
class Piece:
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
class SmallerPart:
    """A part, and the one that holds its genes of the subnetwork."""

    whole: Part
    small: Part
    pieces: tuple[Piece, ...]

    def write_back_(self) -> None:
        """Put weights, slots and counters where they belong; what is frozen is not written."""
        for piece in (each for each in self.pieces if each.whole.role != "frozen"):
            piece.put_(self.small.weights, self.whole.weights)
            for name, slot in self.small.slots.items():
                piece.put_(slot, self.whole.slots[name])
        self.whole.counters = dict(self.small.counters)


def smaller_part(
    part: Part, cuts: Mapping[str, tuple[int, Places]], left_out: tuple[str, ...], slots: Sequence[str], *, end: int
) -> SmallerPart | None:
    """The genes of a part that are in, of its first ``end`` segments; None if all are."""
    segments = part.layout.segments[:end]
    if not any(each.name in cuts or each.name.startswith(left_out) for each in segments):
        return None
    pieces, start = [], 0
    for segment in segments:
        if segment.name.startswith(left_out):
            continue
        places, shape = cuts.get(segment.name), list(segment.shape)
        if places is not None:
            shape[places[0]] = len(places[1].index)
        small = Segment(segment.name, tuple(shape), segment.role, start)
        pieces.append(Piece(segment, small, places))
        start += -(-small.count // TILE) * TILE
    layout = Layout(tuple(each.small for each in pieces), part.layout.dtype)
    return SmallerPart(part, _gathered(part, layout, pieces, slots), tuple(pieces))


def whole_tail(part: Part, cuts: Mapping[str, tuple[int, Places]], left_out: tuple[str, ...]) -> int:
    """From which segment on all are whole: where the embeddings begin, if the part has any."""
    touched = [name in cuts or name.startswith(left_out) for name in (each.name for each in part.layout.segments)]
    return len(touched) - touched[::-1].index(True) if True in touched else 0


def tail(part: Part, begin: int, slots: Sequence[str]) -> Part:
    """The segments of a part from number ``begin`` on, where they are: its buffers are views of the part's."""
    segments = part.layout.segments[begin:]
    start = segments[0].start if segments else part.layout.size
    layout = Layout(tuple(replace(each, start=each.start - start) for each in segments), part.layout.dtype)
    weights = part.weights[start:]
    return Part(
        layout,
        weights,
        gradient=part.gradient[start:],
        compute=weights if part.compute is part.weights else part.compute[start:],
        slots={name: part.slots[name][start:] for name in slots},
        counters=dict(part.counters),
        _rounded=part._rounded,
    )


def _gathered(part: Part, layout: Layout, pieces: Sequence[Piece], slots: Sequence[str]) -> Part:
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
