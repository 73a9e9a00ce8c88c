"""``pytest --evoweights-conformance``: every rule for every component of installed plugins, without a test file.

``--evoweights-plugin NAME``, given as often as wanted, names a plugin or a file instead of all installed ones, and
``--evoweights-profile`` how thoroughly to look. Beside it fixtures for authors' own tests: ``evoweights_plugins``,
``tiny_population`` and ``run_engine``. Nothing but pytest is imported before the first of them is used.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from _pytest._code.code import TerminalRepr

    from evoweights.plugins.loading import Plugins
    from evoweights.population import Population
    from evoweights.records import RunResult
    from evoweights.testing.checking import Check
    from evoweights.testing.faults import Fault
    from evoweights.testing.plugin_kit import Found
    from evoweights.testing.tiny_runs import Configuration

pytest.register_assert_rewrite(
    *(f"evoweights.testing.{each}" for each in ("checks", "stateful", "task_ground", "training_ground"))
)


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


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a plugin to check where nothing is checked."""
    if config.getoption("--evoweights-plugin") and not config.getoption("--evoweights-conformance"):
        raise pytest.UsageError("--evoweights-plugin names what is checked with --evoweights-conformance: give both.")


class ConformanceItem(pytest.Item):
    """One rule for one component; or a plugin with what is wrong with it."""

    def __init__(self, *, check: "Check | None" = None, reason: str = "", wrong: str = "", **told: Any) -> None:
        super().__init__(**told)
        self.check, self.reason, self.wrong = check, reason, wrong

    def runtest(self) -> None:
        """Check it, or skip it with the reason."""
        if self.wrong:
            pytest.fail(self.wrong, pytrace=False)
        if self.check is None or self.reason:
            pytest.skip(self.reason)
        self.check()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> "str | TerminalRepr":
        """What was found, of which rule, where and for what; with ``--tb=long`` or ``--full-trace`` the whole traceback."""
        options = self.config.option
        if self.check is None or options.tbstyle in ("long", "native") or options.fulltrace:
            return super().repr_failure(excinfo, style)
        from evoweights.testing.telling import told_of

        told = told_of(excinfo.value, self.check.component)
        text = (
            f"{self.check.id} of {self.check.label}: {told.found}\nRule: {self.check.rule.text}\n"
            f"In:   {told.file}:{told.line}\nFor:  {told.case.removeprefix('with ')}\n"
            "The whole traceback: --tb=long"
        )
        with pytest.raises(pytest.fail.Exception) as short:
            pytest.fail(text, pytrace=False)
        return super().repr_failure(short)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Where a report puts it."""
        return self.path, None, self.name


class Conformance(pytest.Collector):
    """The rules for the components of the plugins that were asked for, or of all that are installed and not disabled."""

    def collect(self) -> Iterator[ConformanceItem]:
        """An item for each rule and component, and one for each component that has no checks.

        What was asked for must be there. Of the installed plugins each is loaded by itself, and one that cannot be is an item
        that fails.
        """
        from evoweights.errors import EvoweightsError
        from evoweights.testing.requirements import need_hypothesis

        requests: list[str] = self.config.option.evoweights_plugin
        try:
            need_hypothesis()
            from evoweights.testing.plugin_kit import enabled_plugins, plugin_components

            load = partial(
                plugin_components,
                folder=self.config.invocation_params.dir,
                profile=self.config.option.evoweights_profile,
            )
            found = load(requests) if requests else []
            names = [] if requests else enabled_plugins()
        except EvoweightsError as error:
            raise pytest.UsageError(str(error)) from error
        for name in names:
            try:
                found += load([name])
            except EvoweightsError as error:
                yield ConformanceItem.from_parent(self, name=f"plugin[{name}]", wrong=str(error))
        yield from self._items(found)

    def _items(self, found: "Sequence[Found]") -> "Iterator[ConformanceItem]":
        from evoweights.testing.plugin_kit import told_apart

        for each, name in zip(found, told_apart(found), strict=True):
            if each.unchecked:
                yield ConformanceItem.from_parent(self, name=f"{each.entry.kind}[{name}]", reason=each.unchecked)
            for check in each.checks:
                reason = check.skipped()
                yield ConformanceItem.from_parent(self, name=f"{check.id}[{name}]", check=check, reason=reason)


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the rules to the tests that were collected."""
    if config.getoption("--evoweights-conformance"):
        conformance = Conformance.from_parent(session, name="evoweights", nodeid="evoweights")
        items.extend(conformance.collect())


@pytest.fixture
def evoweights_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Callable[..., Plugins]":
    """``evoweights_plugins(*plugins)`` loads the built-in plugins and those given, and nothing else, apart from every other load.

    A plugin is a name, a ``.py`` file in ``tmp_path``, or a module or object with a ``register`` hook. What comes back has the
    ``catalog`` and the ``manager`` of the hooks. Neither the user's file of disabled plugins nor environment variables count
    in a test that asks for this.
    """
    from evoweights.plugins import switches

    for each in ("XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.setenv(each, str(tmp_path / "configuration"))
    for each in (switches.NONE, switches.ONLY, switches.DISABLED):
        monkeypatch.delenv(each, raising=False)

    def load(*plugins: str | object) -> "Plugins":
        from evoweights.testing.tiny_runs import plugins_in

        return plugins_in(tmp_path, plugins)

    return load


@pytest.fixture
def tiny_population(tmp_path: Path) -> "Population":
    """Three individuals in host memory: seven tensors of every role and shape, one of AdamW's moments, ordinary numbers.

    Nobody is measured yet. For others see :func:`evoweights.testing.strategies.populations`.
    """
    from evoweights.testing.requirements import need_hypothesis

    need_hypothesis()
    from evoweights.population import Slot
    from evoweights.testing.populations import mixed_layout, population_of

    return population_of(mixed_layout(), 3, slots=[Slot("adamw.first_moment")], folder=tmp_path)


@pytest.fixture
def run_engine(tmp_path: Path, evoweights_plugins: "Callable[..., Plugins]") -> "Callable[..., RunResult]":
    """``run_engine(configuration, plugins=(), faults=())`` runs a configuration to its end in ``tmp_path`` and gives its result.

    The configuration is YAML text, or a mapping in which a component may stand as it is: ``{"vary": [MyOperator()]}``. What
    it leaves out is that of :data:`evoweights.testing.tiny_runs.TINY`. Called again with the same configuration, it continues
    what a fault has interrupted; the run is in ``tmp_path / "runs" / NAME``, the name being ``tiny`` unless it says another.
    """
    del evoweights_plugins  # it sees to it that only what a test asks for is there

    def run(
        configuration: "Configuration | None" = None,
        *,
        plugins: "Sequence[str | object]" = (),
        faults: "Sequence[Fault]" = (),
    ) -> "RunResult":
        from evoweights.testing.tiny_runs import run_in

        return run_in(tmp_path, configuration or {}, plugins=plugins, faults=faults)

    return run
