"""Writes docs/reference/kill_matrix.md: which rules of the kit notice which broken component.

``python tests/testing/kill_matrix.py`` shows every specimen to every rule of its kind, which takes minutes; with kinds or
names of specimens as arguments only those, and what the page says of the others stays.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from specimens import Specimen, specimens, world_put_back

from evoweights.testing.contract import RULES
from evoweights.testing.report import FAILED

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "kill_matrix.md"
TITLES = {"operator": "Operators", "select": "Selections", "turn": "Turns", "improve": "Improvers", "task": "Tasks"}
OF_THE_ENGINE = {"operator": ("G03", "G08", "G13", "G17-rounding"), "select": (), "turn": (), "improve": (), "task": ()}
"""By kind: rules that no fault of a component is named after; test_engine_faults.py breaks the engine instead."""

Caught = Mapping[tuple[str, str], tuple[str, ...]]
"""By kind and name of a specimen: the rules that notice it."""

HEAD = """# Which rule notices which fault

<!-- Written by tests/testing/kill_matrix.py; a test compares it with the broken components it tells of. -->

A check that cannot fail checks nothing. The conformance kit is therefore tried on {count} broken components: each is shown to
every rule of its kind (profile `quick`), and the rule that its fault is named after, in bold, must notice it. Where we know
of a report of such a fault in another project, it stands beside it; the components here are our own. {engine} are about
what the engine does around an operator. No fault is named after them; the tests break the engine instead.
"""


def caught_by(specimen: Specimen) -> tuple[str, ...]:
    """The rules that a specimen breaks."""
    found = []
    for each in specimen.checks():
        with world_put_back():
            result, _ = each.result()
        if result.status == FAILED:
            found.append(result.id.removeprefix("EW-"))
    order = [each.id for each in RULES[specimen.kind]]
    return tuple(sorted(found, key=order.index))


def page(caught: Caught) -> str:
    """The page, of specimens as they are declared and of what is known of who notices them."""
    everyone = specimens()
    engine = ", ".join(f"EW-{each}" for each in OF_THE_ENGINE["operator"])
    parts = [HEAD.format(count=len(everyone), engine=engine)]
    for kind, title in TITLES.items():
        mine = [each for each in everyone if each.kind == kind]
        parts.append(f"\n## {title}\n\n{_table(mine, caught)}\n{_rules(kind, mine, caught)}")
    return "".join(parts)


def _table(mine: Iterable[Specimen], caught: Caught) -> str:
    lines = ["| broken component | what is wrong | reported of others | noticed by |", "|---|---|---|---|"]
    for each in mine:
        rules = caught.get((each.kind, each.name), ())
        noticed = ", ".join(f"**{rule}**" if rule in each.rules else rule for rule in rules)
        lines.append(f"| `{each.name}` | {each.fault} | {each.published or '-'} | {noticed} |")
    return "\n".join([*lines, ""])


def _rules(kind: str, mine: Iterable[Specimen], caught: Caught) -> str:
    lines = ["| rule | notices | notices alone |", "|---|---|---|"]
    found = {each.name: caught.get((kind, each.name), ()) for each in mine}
    for rule in RULES[kind]:
        noticed = [name for name, rules in found.items() if rule.id in rules]
        alone = ", ".join(f"`{name}`" for name in noticed if len(found[name]) == 1)
        lines.append(f"| {rule.id} | {len(noticed)} | {alone or '-'} |")
    return "\n".join([*lines, ""])


def known(text: str) -> dict[tuple[str, str], tuple[str, ...]]:
    """What a page says of who notices whom."""
    return dict(_known(text))


def _known(text: str) -> Iterator[tuple[tuple[str, str], tuple[str, ...]]]:
    kinds = {title: kind for kind, title in TITLES.items()}
    for section in text.split("\n## ")[1:]:
        title, _, rest = section.partition("\n")
        for name, noticed in re.findall(r"^\| `(\w+)` \|.* \| (.*?) \|$", rest, re.MULTILINE):
            rules = tuple(rule.strip("*") for rule in noticed.split(", "))
            yield (kinds[title], name), rules


def main(wanted: list[str]) -> None:
    """Write the page anew, for some kinds or specimens or for all."""
    caught = known(PAGE.read_text()) if PAGE.exists() else {}
    for each in specimens():
        if not wanted or {each.kind, each.name} & {*wanted}:
            caught[each.kind, each.name] = caught_by(each)
            sys.stderr.write(f"{each.kind} {each.name}: {', '.join(caught[each.kind, each.name])}\n")
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(caught))


if __name__ == "__main__":
    main(sys.argv[1:])
