"""The command that holds the components of a plugin to the contract of their kind."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evoweights.cli.checked import components_called
from evoweights.cli.loading import load_torch
from evoweights.cli.options import Json
from evoweights.cli.output import say, say_json, say_rows
from evoweights.errors import PluginError, UsageError

if TYPE_CHECKING:
    from evoweights.testing.plugin_kit import Found
    from evoweights.testing.report import Report


class Thoroughness(StrEnum):
    """How many cases a rule is tried on."""

    QUICK, DEFAULT, THOROUGH = "quick", "default", "thorough"


Reports = list[tuple["Found", "Report"]]


def check(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A plugin as in a configuration: an installed one, or ./file.py; or a built-in component, such as pso.",
        ),
    ],
    profile: Annotated[
        Thoroughness, typer.Option(help="25, 100 or 2,000 cases a rule: about 1, 2 or 20 s an operator.")
    ] = Thoroughness.DEFAULT,
    expect: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE=REASON",
            help="A rule that may be broken, as in 'EW-G15=why', or of one component, 'my_operator:EW-G15=why'; "
            "it counts as broken if it is not. Can be repeated.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Check the components of a plugin against the contract of their kind.

    Each is made with its defaults and tried on every rule that it says applies to it. The exit code is 5 if one breaks a
    rule. Needs hypothesis: pip install 'evoweights[testing]'.
    """
    from evoweights.testing.requirements import need_hypothesis

    need_hypothesis()
    expected = _reasons(expect or [])
    load_torch()
    found = components_called(name, profile.value)
    reports = _checked(found, expected, is_shown=not json)
    if json:
        say_json(
            [*map(_as_json, reports), *({**_place(each), "unchecked": each.unchecked} for each in _left_out(found))]
        )
    else:
        _say_end(name, found, reports)
    if broken := [report for _, report in reports if not report.is_conforming]:
        from evoweights.testing.report import listed

        # The tables above may have scrolled away.
        why = "\n".join(map(listed, broken))
        count = f"{len(broken)} of {_components_text(len(reports))} break{'s' if len(broken) == 1 else ''} rules"
        raise PluginError(f"{name}: {count}: {_told(broken)}.\n{why}")


def _reasons(expect: Iterable[str]) -> dict[str, str]:
    """The reasons by rule."""
    found: dict[str, str] = {}
    for each in expect:
        rule, _, reason = (part.strip() for part in each.partition("="))
        if not rule or not reason:
            raise UsageError(f"--expect: found {each!r}; expected a rule and why it is broken, such as 'EW-G15=why'.")
        if rule in found:
            raise UsageError(f"--expect: {rule} is given twice.")
        found[rule] = reason
    return found


def _checked(found: "Sequence[Found]", expected: dict[str, str], *, is_shown: bool) -> Reports:
    from evoweights.testing.plugin_kit import check_components

    reports: Reports = []
    for each, report in check_components(found, expected_failures=expected):
        reports.append((each, report))
        if is_shown:
            say(str(report).rstrip())
    return reports


def _say_end(name: str, found: "Sequence[Found]", reports: Reports) -> None:
    from evoweights.testing.report import EXPECTED

    if left_out := _left_out(found):
        say("Not checked:")
        say_rows((f"{each.entry.kind} {each.entry.name}", each.unchecked) for each in left_out)
    if all(report.is_conforming for _, report in reports):
        expected = sum(report.count(EXPECTED) for _, report in reports)
        but = f" but {expected} that {'was' if expected == 1 else 'were'} expected to be broken" if expected else ""
        say(f"{name}: {_components_text(len(reports))} checked, every rule that applies is kept{but}.")


def _components_text(count: int) -> str:
    return f"{count} component{'' if count == 1 else 's'}"


def _left_out(found: "Sequence[Found]") -> "list[Found]":
    return [each for each in found if each.unchecked]


def _place(found: "Found") -> dict[str, Any]:
    return {"kind": found.entry.kind, "component": found.entry.name, "provider": found.entry.provider}


def _as_json(checked: "tuple[Found, Report]") -> dict[str, Any]:
    found, report = checked
    return {**_place(found), **report.values()}


def _told(reports: "Sequence[Report]") -> str:
    return "; ".join(f"{each.component} ({', '.join(one.id for one in each.failures)})" for each in reports)
