"""Reference of the contract: every rule that the conformance kit holds components to."""

from evoweights.testing.checks import OPERATOR_RULES
from evoweights.testing.checks.improver import IMPROVER_RULES
from evoweights.testing.checks.selection import SELECTION_RULES
from evoweights.testing.checks.task import TASK_RULES
from evoweights.testing.checks.turn import TURN_RULES
from making.text import code, escaped, table

RULES = {
    "Operators": OPERATOR_RULES,
    "Improvers": IMPROVER_RULES,
    "Selections": SELECTION_RULES,
    "Turns": TURN_RULES,
    "Tasks": TASK_RULES,
}
_INTRO = """# The contract of components

What `evoweights.testing` holds components to, rule by rule. Which rules apply follows from the kind of a component and from the
[traits](python/evoweights.md#traits) that it claims.
"""


def contract_pages() -> dict[str, str]:
    """The page, by its place on the site."""
    parts = [_INTRO]
    for title, rules in RULES.items():
        rows = [(code(f"EW-{each.id}"), each.name.replace("_", " "), escaped(each.text)) for each in rules]
        parts.append(f"## {title}\n\n{table(['rule', 'name', 'what it demands'], rows)}")
    return {"reference/contract.md": "\n".join(parts)}
