"""Reference of the contract: every rule, whom it holds for, how closely it is compared, and who holds it."""

import inspect
from collections.abc import Iterable

from evoweights.testing.contract import ABSENT, CHECKED, TESTED, Clause, contract
from evoweights.testing.rules import Level
from making.text import code, escaped, prose, table

_INTRO = """# The contract of components

What evoweights and `evoweights.testing` hold components to, rule by rule. Which rules apply follows from the kind of a component
and from the [traits](python/evoweights.md#traits) that it claims. [Which rule notices which fault](kill_matrix.md) shows that
they can fail.
"""


def contract_pages() -> dict[str, str]:
    """The page, by its place on the site."""
    clauses = {status: [each for each in contract() if each.status == status] for status in (CHECKED, TESTED, ABSENT)}
    parts = [
        _INTRO,
        "How closely results are compared:\n",
        table(["level", "what it means"], [(each.value, _meaning(each)) for each in Level]),
        "## Checked by the kit\n\n`evoweights plugins check NAME`, `check_operator(op)` and their like try these on "
        "any component.\n",
        table(["rule", "what it demands", "of", "where", "level"], map(_checked, clauses[CHECKED])),
        "## Held by the tests of evoweights\n\nThese are about what the engine does, or about its own components. "
        "`check_engine(configuration)` holds runs with components of your own to `EW-R01` to `EW-R09`.\n",
        table(["rule", "what it demands", "of", "level", "tests"], map(_tested, clauses[TESTED])),
        "## Not held by anything\n\nThere is nothing yet that they could be tried on.\n",
        table(
            ["rule", "what it demands", "why"],
            [(_id(each), escaped(each.text), escaped(each.why)) for each in clauses[ABSENT]],
        ),
    ]
    return {"reference/contract.md": "\n".join(parts)}


def _meaning(level: Level) -> str:
    """The docstring that stands below a level where it is declared."""
    lines = inspect.getsource(Level).splitlines()
    place = next(number for number, line in enumerate(lines) if line.strip().startswith(f"{level.name} ="))
    return prose(lines[place + 1].strip().strip('"'))


def _id(clause: Clause) -> str:
    return code(f"EW-{clause.id}")


def _checked(clause: Clause) -> Iterable[str]:
    return _id(clause), escaped(clause.text), ", ".join(clause.kinds), escaped(clause.condition), clause.level


def _tested(clause: Clause) -> Iterable[str]:
    files = dict.fromkeys(each.partition("::")[0] for each in clause.tests)
    return _id(clause), escaped(clause.text), ", ".join(clause.kinds), clause.level, ", ".join(map(code, files))
