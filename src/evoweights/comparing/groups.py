"""Runs of one configuration with different seeds, put together; and how configurations differ."""

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evoweights.comparing.measured import MeasuredRun
from evoweights.errors import UsageError

IRRELEVANT = ("name", "seed", "output", "observers", "checkpoint", "controls", "credit")
"""What may differ between runs of one group: it changes no weight, or is the seed."""
SHOWN = 6
"""Most differences between two configurations that are told."""
_SEED = re.compile(r"[-_.]?s(eed)?[-_]?\d+$")


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seeds alone, under one label."""

    label: str
    runs: tuple[MeasuredRun, ...]

    @property
    def seeds(self) -> tuple[Any, ...]:
        """The seed of each run."""
        return tuple(run.seed for run in self.runs)


def by_configuration(runs: Sequence[MeasuredRun]) -> tuple[Group, ...]:
    """The runs in groups, in the order in which each configuration comes first.

    Raises:
        UsageError: a run is given twice, or two are of one configuration and one seed.
    """
    found: dict[str, list[MeasuredRun]] = {}
    for run in runs:
        found.setdefault(identity(run.settings), []).append(run)
    labels = [_label(each) for each in found.values()]
    groups = []
    for label, each in zip(labels, found.values(), strict=True):
        group = Group(label if labels.count(label) == 1 else str(each[0].folder), tuple(each))
        _refuse_twice(group)
        groups.append(group)
    return tuple(groups)


def check_comparable(groups: Sequence[Group]) -> list[str]:
    """What must be known before losses of these groups are compared.

    Raises:
        UsageError: they are of different tasks, or were measured on other data.
    """
    runs = [run for group in groups for run in group.runs]
    first, notes = runs[0], []
    for run in runs[1:]:
        names = [each.settings.get("task", {}).get("name") for each in (first, run)]
        if names[0] != names[1]:
            raise UsageError(
                f"{run.folder} has the task {names[1]}, {first.folder} the task {names[0]}: their losses are no measure of each "
                "other. Compare runs of one task."
            )
        parts = [each for each in first.data if each in run.data and first.data[each] != run.data[each]]
        if others := [each for each in parts if "validation" in each or "tokenizer" in each]:
            raise UsageError(
                f"{run.folder} and {first.folder} were not measured with the same {' and '.join(others)}, so their losses "
                "cannot be compared. Run one of them again with the other's files."
            )
        if "training data" in parts:
            notes.append(f"{run.name} and {first.name} were trained on different data")
    for group in groups[1:]:
        task = [each for each in differences(groups[0], group, every=True) if each.startswith("task.")]
        if task:
            notes.append(
                f"{group.label} and {groups[0].label} differ in {', '.join(task)}: are the losses of the same data?"
            )
    if len({run.device for run in runs}) > 1:
        notes.append("the runs were made on different machines, so seconds compare those as well")
    return notes


def differences(first: Group, other: Group, *, every: bool = False) -> list[str]:
    """The settings in which ``other`` differs from ``first``, such as ``vary.0.rate: 0.6 -> 0.1``."""
    told = list(_differences(_relevant(first.runs[0].settings), _relevant(other.runs[0].settings)))
    if every or len(told) <= SHOWN:
        return told
    return [*told[:SHOWN], f"and {len(told) - SHOWN} more"]


def _differences(one: Any, two: Any, path: str = "") -> Iterator[str]:
    """Each difference in a line; of components of other names (or none) the names alone."""
    same_component = not isinstance(one, Mapping) or not isinstance(two, Mapping) or one.get("name") == two.get("name")
    if isinstance(one, Mapping) and isinstance(two, Mapping) and same_component:
        for key in dict.fromkeys([*one, *two]):
            yield from _differences(one.get(key), two.get(key), f"{path}.{key}" if path else str(key))
    elif isinstance(one, list) and isinstance(two, list):
        for index, (left, right) in enumerate(itertools.zip_longest(one, two)):
            yield from _differences(left, right, f"{path}.{index}")
    elif one != two:
        yield f"{path}: {_text(one)} -> {_text(two)}"


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value.get("name", "a mapping"))
    return "none" if value is None else str(value)


def identity(settings: Mapping[str, Any]) -> str:
    """A text that two configurations share if they differ in nothing but seeds and what changes no weight."""
    return json.dumps(_relevant(settings), sort_keys=True, default=str)


def _relevant(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in IRRELEVANT}


def _label(runs: Sequence[MeasuredRun]) -> str:
    if len(runs) == 1:
        return runs[0].name
    stems = [_SEED.sub("", run.name) or run.name for run in runs]
    return stems[0] if len(set(stems)) == 1 else f"{runs[0].name} and {len(runs) - 1} more"


def _refuse_twice(group: Group) -> None:
    seen: dict[Any, MeasuredRun] = {}
    for run in group.runs:
        if run.seed in seen:
            raise UsageError(
                f"{run.folder} and {seen[run.seed].folder} are of one configuration and one seed ({run.seed}), so they are one "
                "measurement, not two. Leave one of them out."
            )
        seen[run.seed] = run
