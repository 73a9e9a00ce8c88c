"""The observer that shows a run on the console."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from evoweights.catalog import setting
from evoweights.hookspecs import hookimpl

if TYPE_CHECKING:
    from evoweights.records import GenerationRecord, ImproveRecord, RunInfo, RunResult
    from evoweights_monitor.screen import Screen


@dataclass
class _Session:
    screen: "Screen | None" = None


@dataclass(frozen=True)
class ConsoleProgress:
    """Shows progress: a live panel on a terminal, one line a generation elsewhere, the result at the end."""

    name: ClassVar[str] = "console"
    source: ClassVar[str] = "evoweights"

    quiet: bool = setting(False, "show only warnings and how the run ended")

    # No field: what is shown is not a setting, and does not count when two observers are compared.
    @cached_property
    def _session(self) -> _Session:
        return _Session()

    @hookimpl
    def run_started(self, info: "RunInfo") -> None:
        """Say what runs and where."""
        from evoweights_monitor.screen import Screen, standard_output

        self._session.screen = Screen(info, standard_output(), quiet=self.quiet)
        self._session.screen.start()

    @hookimpl
    def step_finished(self, generation: int, row: int, step: int, loss: float) -> None:
        """Move the panel's step, speed and training loss on."""
        if screen := self._session.screen:
            screen.stepped(generation, row, step, loss)

    @hookimpl
    def individual_improved(self, record: "ImproveRecord") -> None:
        """Warn of a turn that ended early."""
        if screen := self._session.screen:
            screen.improved(record)

    @hookimpl
    def generation_finished(self, record: "GenerationRecord") -> None:
        """Show the generation."""
        if screen := self._session.screen:
            screen.generation(record)

    @hookimpl
    def checkpoint_saved(self) -> None:
        """Restart the age of the last checkpoint."""
        if screen := self._session.screen:
            screen.checkpoint()

    @hookimpl
    def run_finished(self, result: "RunResult") -> None:
        """Show the result."""
        if screen := self._session.screen:
            screen.finish(result)

    @hookimpl
    def run_failed(self, error: BaseException) -> None:
        """Take the panel away and say in a line that the run ended early."""
        if screen := self._session.screen:
            screen.fail(error)
