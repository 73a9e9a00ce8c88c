"""What holds for selections: who may take whose place."""

import dataclasses
import math
from collections import Counter
from typing import TypeAlias

from evoweights.operators import Selection
from evoweights.seeds import Noise
from evoweights.testing.checks.repeating import registrable
from evoweights.testing.checks.world import draw_elsewhere, unchanged_world
from evoweights.testing.populations import share_z
from evoweights.testing.rules import Level, always, claims, named, rule, traits_of

Losses: TypeAlias = list[float]


@rule("L02", always, level=Level.EXACT)
def existing(selection: Selection, losses: Losses, noise: Noise) -> None:
    """L02: every row is given one of the rows there are."""
    chosen = list(selection.choose(losses, noise))
    assert len(chosen) == len(losses), f"{len(chosen)} rows for a population of {len(losses)}"
    assert all(type(row) is int and 0 <= row < len(losses) for row in chosen), f"rows that do not exist: {chosen}"


@rule("G04", always)
def repeatable(selection: Selection, losses: Losses, noise: Noise) -> None:
    """G04: the same losses and noise give the same choice, whatever was drawn before, from a list or a tuple."""
    once = list(selection.choose(losses, noise))
    draw_elsewhere()
    assert list(selection.choose(tuple(losses), noise)) == once, "the second time it chose others"


@rule("G02", always)
def inputs(selection: Selection, losses: Losses, noise: Noise) -> None:
    """G02: neither the losses nor its own settings are changed."""
    before, own = list(map(repr, losses)), repr(selection)
    selection.choose(losses, noise)
    assert list(map(repr, losses)) == before, "the losses changed"
    assert repr(selection) == own, "its settings changed"


@rule("G06", always, most=10, level=Level.EXACT)
def quiet(selection: Selection, losses: Losses, noise: Noise) -> None:
    """G06: no global generator is drawn from, and no setting of torch, numpy or the process changes."""
    selection.choose(losses, noise)
    with unchanged_world():
        selection.choose(losses, noise)


@rule("G22", always, most=1, level=Level.EXACT)
def built(selection: Selection, losses: Losses, noise: Noise) -> None:
    """G22: it can be registered, allows its own defaults, is made from its settings, equals its like, and cannot be changed."""
    del losses, noise  # unused: nothing is chosen
    registrable("select", selection)


@rule("L01", claims("elitist"), level=Level.EXACT)
def best_stays(selection: Selection, losses: Losses, noise: Noise) -> None:
    """L01: the lowest loss that is known is still there afterwards."""
    known = [each for each in losses if not math.isnan(each)]
    after = [losses[row] for row in selection.choose(losses, noise)]
    assert not known or min(known) in after, f"{min(known)} is lost: {losses} became {after}"


@rule("L04", always, level=Level.EXACT)
def unknown_never_wins(selection: Selection, losses: Losses, noise: Noise) -> None:
    """L04: an unknown or failed individual, whose loss is NaN, never takes another's place."""
    for row, source in enumerate(selection.choose(losses, noise)):
        assert source == row or not math.isnan(losses[source]), f"row {row} is given row {source}, whose loss is NaN"


def _unknown(selection: Selection, losses: Losses, noise: Noise) -> tuple[Losses, Noise]:
    del selection  # unused: that holds for all of them
    return [math.nan] * len(losses), noise


@rule("L04-unknown", always, most=20, level=Level.EXACT, on=_unknown)
def all_unknown(selection: Selection, losses: Losses, noise: Noise) -> None:
    """L04: where no loss is known, everyone stays."""
    chosen = list(selection.choose(losses, noise))
    assert chosen == list(range(len(losses))), f"no loss is known, and someone is replaced: {chosen}"


def _told_apart(selection: Selection, losses: Losses, noise: Noise) -> tuple[Losses, Noise]:
    """As many losses, finite and all different."""
    del selection  # unused: that holds for all of them
    return [float(place * 37 % 101) - 50 for place in range(len(losses))], noise


@rule("S01", claims("by_rank"), most=30, on=_told_apart)
def only_the_order(selection: Selection, losses: Losses, noise: Noise) -> None:
    """S01: any increasing transformation of the losses chooses the same rows."""
    expected = list(selection.choose(losses, noise))
    for other in ([math.exp(each) * 1e-30 for each in losses], [each / 2 - 100 for each in losses]):
        assert list(selection.choose(other, noise)) == expected, "the size of the losses counts"


@rule(
    "L03",
    claims("equivariant"),
    most=1,
    level=Level.STATISTICAL,
    on=lambda selection, losses, noise: ([3.0, 0.0, 1.0, 4.0, 2.0], noise),
)
def any_rows(selection: Selection, losses: Losses, noise: Noise) -> None:
    """L03: how often the individual of one rank takes the place of that of another does not depend on their rows."""
    order, rounds = [4, 2, 0, 1, 3], 400
    counts: tuple[Counter[tuple[float, float]], ...] = (Counter(), Counter())
    for number in range(rounds):
        for count, given in zip(counts, (losses, [losses[row] for row in order]), strict=True):
            chosen = selection.choose(given, noise.at(len(losses), number))
            count.update((given[row], given[source]) for row, source in enumerate(chosen))
    for pair in counts[0] | counts[1]:
        share = (counts[0][pair] + counts[1][pair]) / (2 * rounds)
        deviation = math.sqrt(2 * rounds * share * (1 - share))
        assert abs(counts[0][pair] - counts[1][pair]) <= 5 * deviation, f"{pair} depends on the rows"


def _set(selection: Selection, **values: float) -> Selection:
    """The selection with these values by trait, those that it has."""
    has = {name: value for name, value in values.items() if getattr(traits_of(selection), name)}
    return dataclasses.replace(selection, **named(selection, **has))  # pyright: ignore[reportArgumentType]


@rule("L01-elites", claims("elites"), most=30, level=Level.EXACT)
def best_keep_their_rows(selection: Selection, losses: Losses, noise: Noise) -> None:
    """L01: as many of the best as are set stay in their rows."""
    for elites in (1, 2):
        chosen = list(_set(selection, elites=elites).choose(losses, noise))
        for row, loss in enumerate(losses):
            rivals = sum(each <= loss for other, each in enumerate(losses) if other != row)
            if not math.isnan(loss) and rivals < elites:
                assert chosen[row] == row, f"row {row} of {losses} is among the {elites} best and goes"


@rule(
    "L05",
    claims("contestants"),
    most=1,
    level=Level.STATISTICAL,
    on=lambda selection, losses, noise: ([3.0, 0.0, 1.0, 5.0, 2.0, 4.0], noise),
)
def pressure(selection: Selection, losses: Losses, noise: Noise) -> None:
    """L05: among n, rank r wins a tournament of k as often as ((n - r)^k - (n - r - 1)^k) / n^k says; of one, anyone does."""
    rounds, size = 300, len(losses)
    for contestants in (1, 2, 5):
        there, counts = _set(selection, contestants=contestants, elites=0), Counter[float]()
        for number in range(rounds):
            counts.update(losses[row] for row in there.choose(losses, noise.at(contestants, number)))
        for rank in range(size):
            share = ((size - rank) ** contestants - (size - rank - 1) ** contestants) / size**contestants
            off = abs(share_z(counts[float(rank)], rounds * size, share))
            assert off < 5, f"of {contestants} contestants, rank {rank} wins {counts[float(rank)]} of {rounds * size}"


@rule("L07", claims("replaced"), most=30, level=Level.EXACT, on=_told_apart)
def worst_go(selection: Selection, losses: Losses, noise: Noise) -> None:
    """L07: of n, the worst floor(share n) are replaced by ones of as many of the best; all others stay."""
    ranked = sorted(range(len(losses)), key=losses.__getitem__)
    for share in (0.0, 0.25, 0.5):
        count = math.floor(share * len(losses))
        best, worst = ranked[:count], ranked[len(ranked) - count :]
        for row, source in enumerate(_set(selection, replaced=share).choose(losses, noise)):
            allowed = best if row in worst else [row]
            assert source in allowed, f"with a share of {share}, row {row} of {losses} is given row {source}"


SELECTION_RULES = (
    inputs, repeatable, quiet, built, best_stays, best_keep_their_rows, existing, any_rows, unknown_never_wins, all_unknown,
    pressure, worst_go, only_the_order,
)  # fmt: skip
"""What holds for selections."""
