"""Comparison byte for byte, and in a few words where two values first differ."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from evoweights.genome import Layout


class Bits(bytes):
    """The bytes of a tensor of this type.

    They show themselves in a few words, because whoever finds two unlike shows both: what two genomes have in common, printed
    in full, takes pytest minutes to find out.
    """

    dtype: torch.dtype

    def __repr__(self) -> str:
        digest = hashlib.blake2b(self, digest_size=6).hexdigest()
        return f"<{len(self) // self.dtype.itemsize} of {str(self.dtype).removeprefix('torch.')}: {digest}>"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Bits) and self.dtype != other.dtype:
            return False
        return bytes.__eq__(self, other) is True  # else it is no bytes at all

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = bytes.__hash__

    def values(self) -> Tensor:
        """The elements, in one dimension."""
        return torch.frombuffer(bytearray(self), dtype=self.dtype) if self else torch.empty(0, dtype=self.dtype)


def bits(tensor: Tensor) -> Bits:
    """The bytes of a tensor: NaN equals NaN, and -0 differs from 0."""
    made = Bits(tensor.detach().contiguous().flatten().view(torch.uint8).numpy())
    made.dtype = tensor.dtype
    return made


def expect_same(
    found: Any, wanted: Any, said: str = "", *, counted: Sequence[str] = (), layout: Layout | None = None
) -> None:
    """Raise an ``AssertionError`` that says where two values first differ, unless they are equal; arguments as of ``unlike``."""
    __tracebackhide__ = True
    if where := unlike(found, wanted, counted=counted, layout=layout):
        raise AssertionError(f"{said}: {where}" if said else where)


def unlike(found: Any, wanted: Any, *, counted: Sequence[str] = (), layout: Layout | None = None) -> str:
    """Where two values first differ, and how; empty if they are equal.

    NaN equals NaN, -0.0 differs from 0.0, and 1 from 1.0 and True; of tensors the bytes are compared, their type and shape.
    ``counted`` says what the lists in them are lists of, from the outside: ``individual``, say. Genomes of this ``layout`` are
    told by the names of their tensors.
    """
    return next(differences(found, wanted, counted=counted, layout=layout), "")


def differences(
    found: Any, wanted: Any, *, counted: Sequence[str] = (), layout: Layout | None = None, where: tuple[str, ...] = ()
) -> Iterator[str]:
    """Every place where two values differ, and how; arguments as of ``unlike``."""
    if isinstance(found, Tensor) and isinstance(wanted, Tensor) and found.shape == wanted.shape:
        found, wanted = bits(found), bits(wanted)
    if isinstance(found, Mapping) and isinstance(wanted, Mapping) and found.keys() == wanted.keys():
        for name in found:
            yield from differences(found[name], wanted[name], counted=counted, layout=layout, where=(*where, str(name)))
    elif isinstance(found, list | tuple) and type(found) is type(wanted) and len(found) == len(wanted):
        label, within = (counted[0], counted[1:]) if counted else ("number", ())
        for index, (one, other) in enumerate(zip(found, wanted, strict=True)):
            here = (*where, f"{label} {index}")
            yield from differences(one, other, counted=within, layout=layout, where=here)
    elif not _is_same(found, wanted):
        how = (
            _gene(found, wanted, layout)
            if isinstance(found, Bits) and isinstance(wanted, Bits)
            else _both(found, wanted)
        )
        yield f"{', '.join(where)}: {how}" if where else how


def _is_same(found: Any, wanted: Any) -> bool:
    """Whether two values that hold no others are equal and of one type."""
    if type(found) is not type(wanted) or isinstance(found, Tensor):  # tensors are of two shapes here
        return False
    if isinstance(found, float | complex):
        return repr(found) == repr(wanted)
    return bool(found == wanted or (found != found and wanted != wanted))


def _both(found: Any, wanted: Any) -> str:
    one, other = _short(found), _short(wanted)
    if one == other:
        one, other = (f"{one} of class {type(each).__name__}" for each in (found, wanted))
    return f"{one}, not {other}"


def _gene(found: Bits, wanted: Bits, layout: Layout | None) -> str:
    if found.dtype != wanted.dtype or len(found) != len(wanted):
        return f"{found!r}, not {wanted!r}"
    width = found.dtype.itemsize
    mine, theirs = (torch.frombuffer(bytearray(each), dtype=torch.uint8).view(-1, width) for each in (found, wanted))
    differs = (mine != theirs).any(1)
    among, what = torch.ones_like(differs), ""
    if layout is not None and len(mine) == layout.size:
        among, what = _genes(layout), "genes "
        if not (differs & among).any():
            among, what = ~among, "elements of padding "
    places = (differs & among).nonzero().flatten().tolist()
    first = places[0]
    one, other = (_number(each.values()[first]) for each in (found, wanted))
    if one == other:  # NaN of two kinds
        one, other = (f"{one} (0x{bytes(each[first].tolist())[::-1].hex()})" for each in (mine, theirs))
    many = f"; {len(places)} of {int(among.sum())} {what}differ" if len(places) > 1 else ""
    return f"{_place(first, len(mine), layout)} is {one}, not {other}{many}"


def _genes(layout: Layout) -> Tensor:
    """Which elements of a genome are genes, and not padding."""
    mask = torch.zeros(layout.size, dtype=torch.bool)
    for each in layout.segments:
        mask[each.start : each.start + each.count] = True
    return mask


def _number(element: Tensor) -> str:
    return f"{float(element):.9g}" if element.is_floating_point() else str(element.item())


def _place(index: int, count: int, layout: Layout | None) -> str:
    """What an element of a tensor is called: the tensor of a genome it is in, and its number there."""
    if layout is None or count != layout.size:
        return f"element {index}"
    for each in layout.segments:
        if each.start <= index < each.start + each.count:
            return f"gene {index - each.start} of {each.name}"
    return f"element {index}, which is padding,"


def _short(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"tensor of shape {tuple(value.shape)}"
    told = repr(value)
    return told if len(told) <= 200 else f"{told[:200]}..."
