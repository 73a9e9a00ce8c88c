"""The whole contract in one table: what each rule demands, of whom, how closely it is compared, and who checks it.

Rules that the kit checks describe themselves; the others stand in ``contract.toml``, with the tests that hold them or the reason
why nothing can be held to them.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from evoweights.testing.checks import OPERATOR_RULES
from evoweights.testing.checks.improver import IMPROVER_RULES
from evoweights.testing.checks.selection import SELECTION_RULES
from evoweights.testing.checks.task import TASK_RULES
from evoweights.testing.checks.turn import TURN_RULES
from evoweights.testing.rules import Rule

CHECKED, TESTED, ABSENT = "checked", "tested", "absent"
"""Who holds a rule: the kit, tests of evoweights alone, or nobody, as it applies to nothing."""

LETTERS = "GXPMSALKWRTD"
"""The first letters of ids: general, crossover, swarms, mutation, evolution strategies, gradient steps, selections, subnetworks
and experts, merging and alignment, the engine, turns, tasks."""

RULES: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        "operator": OPERATOR_RULES,
        "improve": IMPROVER_RULES,
        "select": SELECTION_RULES,
        "turn": TURN_RULES,
        "task": TASK_RULES,
    }
)
"""The rules of the kit by the kind of component they hold for."""


@dataclass(frozen=True)
class Clause:
    """One id of the contract.

    ``kinds`` are kinds of components, or ``engine``. ``condition`` says what switches it on: what a component is, or the
    traits that it declares. ``tests`` are those of evoweights that hold it, as ``file::function``; ``why`` says why the kit does
    not check it, if nothing could be checked.
    """

    id: str
    text: str
    kinds: tuple[str, ...]
    condition: str
    level: str
    status: str
    tests: tuple[str, ...] = ()
    why: str = ""


def contract() -> tuple[Clause, ...]:
    """Every id once, by letter and number."""
    table = tomllib.loads(files("evoweights.testing").joinpath("contract.toml").read_text(encoding="utf-8"))
    clauses = [*_checked(table["also"]), *map(_held, table["held"]), *map(_absent, table["absent"])]
    return tuple(sorted(clauses, key=lambda each: (LETTERS.index(each.id[0]), each.id)))


def _checked(also: list[dict[str, Any]]) -> Iterator[Clause]:
    """Those of the kit; where several kinds have one of an id, the text is that of the first."""
    tests = {each["id"]: tuple(each["tests"]) for each in also}
    for id in dict.fromkeys(each.id for rules in RULES.values() for each in rules):
        mine = {kind: each for kind, rules in RULES.items() for each in rules if each.id == id}
        first = next(iter(mine.values()))
        condition = "; ".join(dict.fromkeys(each.applies.words for each in mine.values()))
        yield Clause(id, first.text, tuple(mine), condition, first.level, CHECKED, tests.get(id, ()))


def _held(told: dict[str, Any]) -> Clause:
    tests = tuple(told["tests"])
    return Clause(told["id"], told["text"], (told["kind"],), "", told["level"], TESTED, tests, told.get("why", ""))


def _absent(told: dict[str, Any]) -> Clause:
    return Clause(told["id"], told["text"], (told["kind"],), "", "", ABSENT, why=told["why"])
