"""``pytest --evoweights-conformance``: every rule for every component of installed plugins, without a test file.

``--evoweights-plugin NAME``, given as often as wanted, names a plugin or a file instead of all installed ones, and
``--evoweights-profile`` how thoroughly to look. Nothing but pytest is imported before the first of them is used.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from evoweights.testing.checking import Check

pytest.register_assert_rewrite("evoweights.testing.checks")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("evoweights")
    group.addoption(
        "--evoweights-conformance",
        action="store_true",
        help="check the components of evoweights plugins against the contract of their kind",
    )
    group.addoption(
        "--evoweights-plugin",
        action="append",
        default=[],
        metavar="NAME",
        help="a plugin to check, or a .py file here; all installed ones if none is named",
    )
    group.addoption(
        "--evoweights-profile",
        default="default",
        choices=("quick", "default", "thorough"),
        help="25, 100 or 2,000 cases a rule",
    )


class ConformanceItem(pytest.Item):
    """One rule for one component."""

    def __init__(self, *, check: "Check | None", reason: str, **told: Any) -> None:
        super().__init__(**told)
        self.check, self.reason = check, reason

    def runtest(self) -> None:
        """Check it, or skip it with the reason."""
        if self.check is None or self.reason:
            pytest.skip(self.reason)
        self.check()

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Where a report puts it."""
        return self.path, None, self.name


class Conformance(pytest.Collector):
    """The rules for the components of the plugins that were asked for."""

    def collect(self) -> Iterator[ConformanceItem]:
        """An item for each rule and component, and one for each component that has no checks."""
        from evoweights.errors import EvoweightsError
        from evoweights.testing.requirements import need_hypothesis

        requests: list[str] = self.config.getoption("--evoweights-plugin") or []
        profile: str = self.config.getoption("--evoweights-profile") or "default"
        folder = self.config.invocation_params.dir
        try:
            need_hypothesis()
            from evoweights.testing.plugin_kit import plugin_components

            components = plugin_components(requests, folder=folder, profile=profile)
        except EvoweightsError as error:
            raise pytest.UsageError(str(error)) from error
        for found in components:
            if found.unchecked:
                name = f"{found.entry.kind}[{found.entry.name}]"
                yield ConformanceItem.from_parent(self, name=name, check=None, reason=found.unchecked)
            for each in found.checks:
                name, reason = f"{each.id}[{each.label}]", each.skipped()
                yield ConformanceItem.from_parent(self, name=name, check=each, reason=reason)


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the rules to the tests that were collected."""
    if config.getoption("--evoweights-conformance"):
        conformance = Conformance.from_parent(session, name="evoweights", nodeid="evoweights")
        items.extend(conformance.collect())
