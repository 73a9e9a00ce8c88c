"""The conformance kit for tasks."""

from collections.abc import Iterator, Mapping

from hypothesis import strategies as st

from evoweights.task import TaskSettings
from evoweights.testing.cases import Cases
from evoweights.testing.checking import Callback, Check, checks_of, run_checks
from evoweights.testing.checks.task import TASK_RULES
from evoweights.testing.report import Report
from evoweights.testing.task_ground import Opened


def task_checks(task: TaskSettings, *, profile: str = "default") -> Iterator[Check]:
    """A check for every rule of tasks, on the task as its settings open it: give it a small model and few data."""
    cases = Cases(st.tuples(st.just(Opened(task)), st.integers(0, 2**32 - 1)))
    yield from checks_of(TASK_RULES, task, task.name, cases, profile)


def check_task(
    task: TaskSettings,
    *,
    profile: str = "default",
    expected_failures: Mapping[str, str] | None = None,
    on_fail: str | None = "raise",
    callback: Callback | None = None,
) -> Report:
    """Check a task, given as its settings, against every rule of tasks; arguments and errors as of ``check_operator``."""
    checks = list(task_checks(task, profile=profile))
    return run_checks(checks, expected_failures=expected_failures, on_fail=on_fail, callback=callback)
