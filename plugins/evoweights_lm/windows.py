"""Which tokens make up which sequence: windows of a token stream, in an order that is a function of (seed, index)."""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evoweights.errors import DataError
from evoweights.seeds import Noise

Tokens = NDArray[Any]
"""A vector of token ids, in memory or mapped from a file."""

_ROUNDS = 4
_WORD = (1 << 64) - 1


@dataclass(frozen=True)
class Windows:
    """The windows of ``context + 1`` tokens in pieces of a stream; a window never reaches from one piece into the next.

    Neighbouring windows share one token: the last target of one is the first input of the next.
    """

    pieces: tuple[Tokens, ...]
    context: int

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Windows in each piece, such that any shift by less than a window keeps them inside."""
        return tuple(max((len(piece) - 1) // self.context - 1, _fits(piece, self.context)) for piece in self.pieces)

    @cached_property
    def _ends(self) -> tuple[int, ...]:
        return tuple(int(end) for end in np.cumsum(self.counts))

    @property
    def count(self) -> int:
        """Windows in all pieces."""
        return self._ends[-1] if self._ends else 0

    def read(self, window: int, *, shift: float = 0.0) -> Tokens:
        """Tokens of a window, ``[context + 1]``; ``shift`` in [0, 1) moves all windows by a part of their length."""
        which = bisect.bisect_right(self._ends, window)
        piece, count = self.pieces[which], self.counts[which]
        slack = min(self.context - 1, len(piece) - 1 - count * self.context)
        first = window - (self._ends[which] - count)
        start = first * self.context + int(shift * (slack + 1))
        return piece[start : start + self.context + 1]

    def spread_over(self, tokens: int) -> int:
        """How many windows :meth:`spread` gives."""
        return min(self.count, -(-tokens // self.context)) if tokens else self.count

    def spread(self, tokens: int) -> list[int]:
        """Numbers of the windows of a fixed subset of at least ``tokens`` tokens, evenly spaced; 0 means all."""
        wanted = self.spread_over(tokens)
        return [index * self.count // wanted for index in range(wanted)]


def _fits(piece: Tokens, context: int) -> int:
    return int(len(piece) > context)


def open_windows(pieces: Sequence[Tokens], context: int, *, what: str) -> Windows:
    """Windows of the pieces that are long enough for one.

    Raises:
        DataError: there is no window.
    """
    windows = Windows(tuple(piece for piece in pieces if _fits(piece, context)), context)
    if not windows.count:
        longest = max((len(piece) for piece in pieces), default=0)
        raise DataError(
            f"{what}: {longest} tokens are too few for a sequence of context {context} and its target ({context + 1}). "
            "Give more text, a shorter task.context, or another task.validation_share."
        )
    return windows


def epoch_window(windows: Windows, sequence: int, noise: Noise) -> Tokens:
    """Tokens of training sequence ``sequence`` (from 0): every epoch visits every window once, in its own order."""
    epoch, position = divmod(sequence, windows.count)
    place = noise.at("epoch", epoch)
    shift = place.at("shift").torch_seed() / 2**63
    return windows.read(permuted(position, windows.count, place.at("order").torch_seed()), shift=min(shift, 1 - 2**-53))


def permuted(position: int, size: int, key: int) -> int:
    """Where ``position`` goes in the pseudo-random permutation ``key`` of ``range(size)``; no table is kept.

    A Feistel network over the next power of four, walked until it falls inside the range.
    Source: Luby and Rackoff 1988; Black and Rogaway 2002, section 4 (cycle walking).
    """
    bits = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << bits) - 1
    keys = [_mixed(key + step) for step in range(_ROUNDS)]
    while True:
        left, right = position >> bits, position & mask
        for step in keys:
            left, right = right, left ^ (_mixed(right ^ step) & mask)
        position = (left << bits) | right
        if position < size:
            return position


def _mixed(word: int) -> int:
    """The output function of SplitMix64 (Steele, Lea and Flood 2014)."""
    word = (word + 0x9E3779B97F4A7C15) & _WORD
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _WORD
    return word ^ (word >> 31)
