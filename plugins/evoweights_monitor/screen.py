"""Shows a run on one console: a live panel on a terminal, a line a generation elsewhere."""

import atexit
import logging
import time
from contextlib import suppress

from rich.console import Console
from rich.live import Live
from rich.text import Text

from evoweights.records import GenerationRecord, ImproveRecord, RunInfo, RunResult
from evoweights_monitor.formats import loss_text, printable
from evoweights_monitor.lines import end_line, failed_warning, generation_line, start_lines, stopped_warning
from evoweights_monitor.panel import LivePanel
from evoweights_monitor.progress import Progress
from evoweights_monitor.summary import credit_table, next_commands, place_lines, result_lines, result_table

REDRAWS_PER_SECOND = 2
NO_EDGE = 10_000
"""Columns of what is no terminal: more than any table takes."""

_LOG = logging.getLogger("evoweights.console")


class RunConsole(Console):
    """Stdout as long as somebody reads it; a run goes on without it, and says so."""

    def on_broken_pipe(self) -> None:
        """Show nothing more; without this, Rich would end the process."""
        with suppress(SystemExit):
            super().on_broken_pipe()
        _LOG.warning(
            "nobody reads what the run shows any more; it goes on all the same, and `evoweights status` looks at it"
        )


def standard_output() -> Console:
    """The console that standard output is; a pipe or a file has no edge at which a table would have to be cut."""
    console = RunConsole()
    if not console.is_terminal:
        console.width = NO_EDGE
    return console


class Screen:
    """One run on one console. ``quiet`` leaves warnings and how the run ended."""

    def __init__(self, info: RunInfo, console: Console, *, quiet: bool) -> None:
        self.console, self.quiet = console, quiet
        self.progress = Progress(info, time.monotonic())
        self._live: Live | None = None

    def start(self) -> None:
        """Say what runs and where, and open the panel."""
        if self.quiet:
            return
        for line in start_lines(self.progress.info):
            self._say(line)
        if self.console.is_interactive:
            self._live = Live(
                LivePanel(self.progress),
                console=self.console,
                refresh_per_second=REDRAWS_PER_SECOND,
                transient=True,
            )
            self._live.start()
            # A process that ends without a last hook must not leave the terminal without its cursor.
            atexit.register(self._live.stop)

    def stop(self) -> None:
        """Take the panel away."""
        if live := self._live:
            self._live = None
            atexit.unregister(live.stop)
            live.stop()

    def stepped(self, generation: int, row: int, step: int, loss: float) -> None:
        """Show one training step."""
        self.progress.stepped(generation, row, step, loss, now=time.monotonic())

    def improved(self, record: ImproveRecord) -> None:
        """Warn of a turn that ended early."""
        self._warn(stopped_warning(self.progress.info, record))

    def generation(self, record: GenerationRecord) -> None:
        """Show a generation, and warn of individuals that failed in it."""
        failed_before = self.progress.failed
        self.progress.finished(record)
        self._warn(failed_warning(self.progress.info, record, self.progress.failed - failed_before))
        if not self.quiet and self._live is None:
            self._say(generation_line(self.progress, record, now=time.monotonic()))

    def checkpoint(self) -> None:
        """Show that a checkpoint was saved now."""
        self.progress.checkpoint_at = time.monotonic()

    def finish(self, result: RunResult) -> None:
        """Show the result."""
        self.stop()
        info = self.progress.info
        if self.quiet:
            best = f"{info.individual} {result.best_row}, validation loss {loss_text(result.best_fitness)}"
            self._say(f"{info.name} finished; best of the run: {best}, in {info.folder / 'best'}")
            return
        self._say("")
        self._say(f"{info.name} finished. Validation loss of every {info.individual}, * whose was the best of the run:")
        self.console.print(result_table(info, result))
        for line in result_lines(info, result):
            self._say(line)
        if result.credit:
            self._say("\nChange of the loss at each application of an operator (below 0 is better):")
            self.console.print(credit_table(result.credit))
        if result.sample is not None:
            self._say("\nsample:")
            self._say(result.sample)
            self._say("")
        for line in place_lines(info.folder):
            self._say(line)
        self._say("next:")
        for command in next_commands(info.folder, result):
            self._say(f"  {command}")

    def fail(self, error: BaseException) -> None:
        """Say that the run ended early."""
        self.stop()
        self._say(end_line(self.progress, error))

    def _warn(self, line: str | None) -> None:
        if line is not None:
            self._say(line, style="yellow")

    def _say(self, line: str, style: str = "") -> None:
        text = Text(printable(line, self.console.encoding), style)
        # Unwrapped unless above a panel, so that a line stays one line and a command can be copied whole.
        self.console.print(text, soft_wrap=self._live is None)
