"""Who descends from whom: the lives of all individuals of a run, and how the lines of the first ones have blended."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from evoweights.report.history import History, Rewriting

Colour = tuple[float, float, float]

BLENDED = 40.0
"""Difference of two mixed colours (of 255 in each of red, green and blue) under which they count as one blend."""


@dataclass(frozen=True)
class Life:
    """An individual in its row, from the end of generation ``born`` (an entry of the history, -1 for the first ones) to that
    of ``ended``. ``colour`` is its parents' in equal parts, ``founders`` are the rows of the first individuals that it descends
    from, ``of`` is how it came to be."""

    row: int
    id: int
    born: int
    ended: int
    colour: Colour
    founders: frozenset[int]
    of: Rewriting | None = None


def lives_of(history: History, colours: Sequence[Colour]) -> list[Life]:
    """The life of every individual, ordered by birth; ``colours`` are those of the first ones, whose ids are their rows."""
    last = len(history.generation) - 1
    living = {row: Life(row, row, -1, last, colour, frozenset({row})) for row, colour in enumerate(colours)}
    found: list[Life] = []
    for entry, events in _by_entry(history):
        # A parent is alive when the generation begins, or is born in it.
        ids = {life.id: life for life in living.values()}
        for event in events:
            if event.row in living:
                found.append(replace(living[event.row], ended=entry))
                living[event.row] = ids[event.id] = _child(event, entry, last, ids, living[event.row])
    return sorted([*found, *living.values()], key=lambda life: (life.born, life.row))


def _by_entry(history: History) -> Iterator[tuple[int, list[Rewriting]]]:
    entries = history.at([each.generation for each in history.rewritings]).tolist()
    for entry, pairs in groupby(zip(entries, history.rewritings, strict=True), key=lambda pair: pair[0]):
        yield entry, [event for _, event in pairs]


def _child(event: Rewriting, entry: int, last: int, ids: Mapping[int, Life], before: Life) -> Life:
    # Where the beginning of the record is missing, a parent may be unknown: then it is taken for who was there before.
    parents = [ids[each] for each in event.parents if each in ids] or [before]
    red, green, blue = (sum(part) / len(parents) for part in zip(*(each.colour for each in parents), strict=True))
    founders = frozenset().union(*(each.founders for each in parents))
    return Life(event.row, event.id, entry, last, (red, green, blue), founders, event)


def at_the_end(lives: Sequence[Life]) -> list[Life]:
    """The individuals that live when the record ends, by row."""
    by_row = {life.row: life for life in lives}
    return [by_row[row] for row in sorted(by_row)]


def blended_by(lives: Sequence[Life], size: int) -> int | None:
    """The entry of the history after which all individuals are of one blend (which then stays so); None if they never are."""
    by_row = dict.fromkeys(range(size))
    for entry, born in groupby(lives, key=lambda life: life.born):
        by_row.update((life.row, life) for life in born)
        now = [life for life in by_row.values() if life is not None]
        if len(now) == size and are_blended(now):
            return entry
    return None


def are_blended(lives: Sequence[Life]) -> bool:
    """Whether all of these are of about the same mixture."""
    parts = zip(*(life.colour for life in lives), strict=True)
    return all(max(part) - min(part) < BLENDED for part in parts)
