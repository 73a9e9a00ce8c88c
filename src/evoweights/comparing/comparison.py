"""Compares groups of runs with the first of them at equal tokens, equal FLOPs and equal seconds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev

from evoweights.comparing.chance import interval_of_groups, interval_of_pairs
from evoweights.comparing.groups import Group, check_comparable, differences
from evoweights.comparing.measured import AXES
from evoweights.errors import UsageError

SHARES = (0.25, 0.5, 1.0)
"""Shares of a budget at which runs are compared; the last is the budget."""
WHOLE_RUN = 0.995
"""A run that has spent this share of all that it spends counts as at its end."""


@dataclass(frozen=True)
class Pooled:
    """The losses of a group's runs: their mean, and their standard deviation if there are two or more."""

    mean: float
    deviation: float | None
    seeds: int


@dataclass(frozen=True)
class Difference:
    """A mean difference of losses, below 0 if the group is better than the first; the 95 % interval needs two seeds or more.

    ``is_paired`` says that runs of equal seeds were subtracted from each other.
    """

    mean: float
    low: float | None
    high: float | None
    seeds: int
    is_paired: bool


@dataclass(frozen=True)
class Point:
    """Two groups where ``budget`` is spent; None for what was not measured so early in any run."""

    share: float
    budget: float
    first: Pooled | None
    own: Pooled | None
    difference: Difference | None


@dataclass(frozen=True)
class Row:
    """A group beside the first one on one axis, at each of ``SHARES``.

    ``parts`` are the shares of its own run at which each of the two, by label, is compared before its end; if there are no
    points, ``lacking`` are the groups of which it is not known what they spent.
    """

    label: str
    points: tuple[Point, ...]
    parts: Mapping[str, float] = field(default_factory=dict)
    lacking: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """All groups on all axes; ``names`` are those of the axes.

    By label: ``ends`` are the losses last measured, ``changes`` the settings in which a group differs from the first.
    """

    first: str
    names: dict[str, str]
    rows: dict[str, tuple[Row, ...]]
    ends: dict[str, Pooled]
    changes: dict[str, list[str]]
    notes: list[str] = field(default_factory=list)


def compare(groups: Sequence[Group]) -> Comparison:
    """Compare every group with the first one.

    The budget of two groups is what the run with the least of them spent, so nothing is extrapolated; a loss in
    between is on the straight line between two measurements.

    Raises:
        UsageError: there are not two runs, or their losses cannot be compared.
    """
    runs = [run for group in groups for run in group.runs]
    if len(runs) < 2:
        raise UsageError("A comparison needs at least two runs; give the folders of more.")
    notes = [*check_comparable(groups), *(note for run in runs for note in run.notes)]
    first, *others = groups
    names = {"tokens": runs[0].unit, "flops": "FLOPs", "seconds": "seconds"}
    rows = {axis: tuple(_row(first, other, axis) for other in others) for axis in AXES}
    ends = {group.label: _end(group) for group in groups}
    changes = {other.label: differences(first, other) for other in others}
    return Comparison(first.label, names, rows, ends, changes, notes)


def _end(group: Group) -> Pooled:
    """The losses last measured in a group's runs; seconds are known of all."""
    found = pooled([run.curves["seconds"].losses[-1] for run in group.runs])
    assert found is not None  # a run without a loss is refused when it is read
    return found


def _row(first: Group, other: Group, axis: str) -> Row:
    lasts = [[run.curves[axis].last for run in group.runs] for group in (first, other)]
    known = [[last for last in each if last is not None] for each in lasts]
    if len(known[0]) < len(lasts[0]) or len(known[1]) < len(lasts[1]):
        lacking = [group.label for group, last in zip((first, other), lasts, strict=True) if None in last]
        return Row(other.label, (), lacking=tuple(lacking))
    budget = min(*known[0], *known[1])
    points = tuple(_point(first, other, axis, share, budget) for share in SHARES)
    parts = {group.label: budget / max(last) for group, last in zip((first, other), known, strict=True)}
    return Row(other.label, points, {label: part for label, part in parts.items() if part < WHOLE_RUN})


def _point(first: Group, other: Group, axis: str, share: float, budget: float) -> Point:
    at = share * budget
    base, own = ({run.seed: run.curves[axis].at(at) for run in group.runs} for group in (first, other))
    found = [{seed: loss for seed, loss in losses.items() if loss is not None} for losses in (base, own)]
    if not found[0] or not found[1]:
        return Point(share, at, pooled([*found[0].values()]), pooled([*found[1].values()]), None)
    return Point(share, at, pooled([*found[0].values()]), pooled([*found[1].values()]), difference(*found))


def pooled(losses: Sequence[float]) -> Pooled | None:
    """Mean and standard deviation of losses; None of none."""
    if not losses:
        return None
    return Pooled(mean(losses), stdev(losses) if len(losses) > 1 else None, len(losses))


def difference(first: dict[object, float], own: dict[object, float]) -> Difference:
    """The difference of two groups' losses by seed, both with at least one.

    Runs of equal seeds have the same data in the same order and often the same first weights, so where every seed of the
    smaller group is in the other as well, the difference is taken within seeds, which leaves less to chance.
    """
    seeds = min(len(first), len(own))
    common = [seed for seed in first if seed in own]
    is_paired = len(common) == seeds
    if is_paired:
        each = [own[seed] - first[seed] for seed in common]
        low, high = interval_of_pairs(each) if seeds > 1 else (None, None)
        return Difference(math.fsum(each) / seeds, low, high, seeds, is_paired)
    base, mine = [*first.values()], [*own.values()]
    low, high = interval_of_groups(mine, base) if seeds > 1 else (None, None)
    return Difference(mean(mine) - mean(base), low, high, seeds, is_paired)
