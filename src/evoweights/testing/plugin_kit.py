"""The conformance kit for whole plugins: every component that one adds, made with its defaults."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from evoweights.catalog import Entry
from evoweights.config.schema import REQUIRED, settings_of
from evoweights.contract import calling
from evoweights.errors import UsageError, did_you_mean
from evoweights.plugins.loading import load_plugins
from evoweights.plugins.sources import BUILT_IN, installed_plugins
from evoweights.plugins.switches import why_disabled
from evoweights.testing.checking import Check, expected_by_rule, run_checks
from evoweights.testing.choice_kits import selection_checks, turn_checks
from evoweights.testing.grounds import forget
from evoweights.testing.improver_kit import improver_checks
from evoweights.testing.operator_kit import operator_checks
from evoweights.testing.report import Report
from evoweights.testing.task_kit import task_checks

KITS: Mapping[str, Callable[..., Iterator[Check]]] = MappingProxyType(
    {
        "task": task_checks,
        "turn": turn_checks,
        "improve": improver_checks,
        "operator": operator_checks,
        "select": selection_checks,
    }
)
"""What makes the checks of a component, by its kind; other kinds have none."""


@dataclass(frozen=True)
class Found:
    """One component of a plugin: its checks, or why there are none."""

    entry: Entry
    checks: tuple[Check, ...]
    unchecked: str = ""


def plugin_components(requests: Sequence[str], *, folder: Path, profile: str = "default") -> list[Found]:
    """The components that these plugins add, each made with its defaults.

    ``requests`` are as in a configuration: a name, or a file under ``folder``; or the module of a plugin that comes with
    evoweights. An empty list means no plugin.

    Raises:
        UsageError: one is not there.
        PluginError: one cannot be loaded, or a component cannot be made with its defaults.
    """
    official = [each for each in requests if each in BUILT_IN]
    others = [each for each in requests if each not in BUILT_IN]
    entries = load_plugins(others, folder=folder).catalog.entries() if requests else ()
    return [_found(each, profile) for each in entries if each.provider in official or each.provider not in BUILT_IN]


def told_apart(found: Sequence[Found]) -> list[str]:
    """A name for each component that no other has: what its checks are labelled, with its plugin or its kind where it must be."""
    labels = [each.checks[0].label if each.checks else each.entry.name for each in found]
    told = []
    for each, label in zip(found, labels, strict=True):
        plugin, kind = each.entry.provider.partition(" ")[0], each.entry.kind
        told.append((label, f"{plugin}:{label}", f"{kind}:{label}", f"{plugin}:{kind}:{label}"))
    counts = [Counter(names) for names in zip(*told, strict=True)]
    return [
        next((name for name, count in zip(names, counts, strict=True) if count[name] == 1), names[-1]) for names in told
    ]


def enabled_plugins() -> list[str]:
    """The names of the installed plugins that may be loaded, each once.

    Raises:
        UsageError: the user's file of disabled plugins cannot be read.
    """
    return list(dict.fromkeys(each.name for each in installed_plugins() if not why_disabled(each.name)))


def no_checks(entry: Entry) -> str:
    """Why a component is not checked whose kind has no kit."""
    return f"there are no checks for components of kind {entry.kind}"


def _found(entry: Entry, profile: str) -> Found:
    kit = KITS.get(entry.kind)
    if kit is None:
        return Found(entry, (), no_checks(entry))
    missing = [each.name for each in settings_of(entry.component).values() if each.default is REQUIRED]
    if missing:
        return Found(entry, (), f"needs {', '.join(missing)}: check an instance of it in a test file")
    with calling(f"{entry.kind} {entry.name}: made with its defaults"):
        component: Any = entry.component()
    with calling(f"{entry.kind} {entry.name}: making its checks"):
        return Found(entry, tuple(kit(component, profile=profile)))


def check_components(
    found: Sequence[Found], *, expected_failures: Mapping[str, str] | None = None
) -> Iterator[tuple[Found, Report]]:
    """The report of each component that has checks, as soon as it is there.

    ``expected_failures`` are reasons by rule, ``EW-G15``, for every component that has it, or by component and rule,
    ``my_operator:EW-G15``.

    Raises:
        UsageError: a component or a rule that is not there, or no reason.
    """
    expected = [expected_by_rule(_expected_of(each, expected_failures or {}), each.checks) for each in found]
    _see_that_each_is_used(expected_failures or {}, found)
    for each, reasons in zip(found, expected, strict=True):
        if each.checks:
            try:
                yield each, run_checks(each.checks, expected_failures=reasons, on_fail=None, callback=None)
            finally:
                forget()


def _expected_of(found: Found, expected: Mapping[str, str]) -> dict[str, str]:
    """The reasons that are for a component, by the plain ids of its rules."""
    rules, reasons = {each.rule.id for each in found.checks}, {}
    for name, reason in expected.items():
        component, _, rule = name.rpartition(":")
        if component in ("", found.entry.name) and (plain := rule.removeprefix("EW-")) in rules:
            reasons[plain] = reason
    return reasons


def _see_that_each_is_used(expected: Mapping[str, str], found: Sequence[Found]) -> None:
    checked = [each for each in found if each.checks]
    for name in expected:
        component, _, rule = name.rpartition(":")
        names = {each.entry.name for each in checked}
        if component and component not in names:
            raise UsageError(
                f"expected failure {name}: no component {component!r} is checked.{did_you_mean(component, names)}"
            )
        mine = [each for each in checked if component in ("", each.entry.name)]
        known = {f"EW-{check.rule.id}" for each in mine for check in each.checks}
        if f"EW-{rule.removeprefix('EW-')}" not in known:
            raise UsageError(f"expected failure {name}: there is no such rule.{did_you_mean(rule, known)}")
