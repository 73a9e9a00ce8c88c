"""What the checks found: a result for every rule, and the report of a component as a table and as JSON."""

import importlib.metadata
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evoweights.errors import PluginError

CONTRACT = 1
"""Version of the contract that components are held to; it grows with every rule that can newly fail."""

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
EXPECTED, UNEXPECTED = "expected failure", "unexpected pass"
STYLES = {PASSED: "green", FAILED: "bold red", SKIPPED: "dim", EXPECTED: "yellow", UNEXPECTED: "bold red"}
"""Every status of a result and how a table shows it."""

CAUSES = ("EW-G22", "EW-G06", "EW-G02", "EW-G05", "EW-G04", "EW-G01")
"""Rules whose breach brings others with it: one that cannot be launched, or that changes what all share, keeps few rules."""


@dataclass(frozen=True)
class Result:
    """What became of one rule, ``EW-G04``: its status, and why it was skipped or how it failed.

    ``seconds`` are the CPU's, without those that Numba took for ``compiling`` kernels; its import counts in neither. What Triton
    or CUDA compile is not told apart.
    """

    id: str
    rule: str
    status: str
    reason: str = ""
    seconds: float = 0.0
    compiling: float = 0.0


@dataclass(frozen=True)
class Report:
    """What the kit found of one component."""

    component: str
    profile: str
    results: tuple[Result, ...]
    contract: int = CONTRACT

    @property
    def failures(self) -> tuple[Result, ...]:
        """The rules that are broken, and those that were expected to be and are not; what may be the cause of others first."""
        found = [each for each in self.results if each.status in (FAILED, UNEXPECTED)]
        return tuple(sorted(found, key=lambda each: CAUSES.index(each.id) if each.id in CAUSES else len(CAUSES)))

    @property
    def is_conforming(self) -> bool:
        """Whether no rule is broken but those that were expected to be."""
        return not self.failures

    def count(self, status: str) -> int:
        """How many rules have this status."""
        return sum(each.status == status for each in self.results)

    @property
    def seconds(self) -> float:
        """CPU seconds of all checks, without Numba's compiling."""
        return sum(each.seconds for each in self.results)

    @property
    def compiling(self) -> float:
        """CPU seconds that Numba took to compile kernels."""
        return sum(each.compiling for each in self.results)

    def values(self) -> dict[str, Any]:
        """Everything as plain values, with the versions of what it ran on."""
        packages = ("evoweights", "torch", "numba", "triton", "hypothesis")
        versions = {name: found for name in packages if (found := _version(name))}
        seconds = {"seconds": round(self.seconds, 2), "compiling": round(self.compiling, 2)}
        return asdict(self) | seconds | {"is_conforming": self.is_conforming, "versions": versions}

    def table(self) -> Table:
        """For rich: a line a rule, first what is broken."""
        told = ", ".join(f"{self.count(each)} {each}" for each in STYLES if self.count(each))
        spent = f"{self.seconds:.1f} s of CPU" + (
            f" and {self.compiling:.1f} s to compile" if self.compiling > 0.05 else ""
        )
        title = f"{escape(self.component)}: contract {self.contract}, profile {self.profile}: {told}; {spent}"
        table = Table(title=title)
        for column in ("id", "status", "rule, or why not"):
            table.add_column(column, overflow="fold")
        failures = self.failures
        for each in (*failures, *(one for one in self.results if one not in failures)):
            status = f"[{STYLES[each.status]}]{each.status}"
            table.add_row(each.id, status, escape(each.reason or each.rule))
        return table

    def __str__(self) -> str:
        console = Console(width=120, color_system=None, force_terminal=False)
        with console.capture() as captured:
            console.print(self.table(), markup=True)
        return captured.get()


class NonConforming(PluginError):
    """A component breaks rules of its contract; ``report`` has all that was found."""

    def __init__(self, report: Report) -> None:
        super().__init__(f"{report.component} breaks the contract of its kind.\n{listed(report)}")
        self.report = report


def listed(report: Report) -> str:
    """What is wrong with a component, a line a rule, as in ``halves: EW-X07 failed: why``."""
    return "\n".join(f"{report.component}: {each.id} {each.status}: {each.reason}" for each in report.failures)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
