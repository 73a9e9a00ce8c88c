"""The command that makes a page of runs to look at."""

from pathlib import Path
from typing import Annotated

import typer

from evoweights.cli.output import say

Runs = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs, finished or not.")]


def report(
    runs: Runs,
    to: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File to write; by default report.html in RUN, of several beside the first."),
    ] = None,
) -> None:
    """Make a page of pictures, of one run or of several side by side.

    It is one HTML file for a browser, which needs nothing from elsewhere.
    """
    from evoweights.report.page import write_report

    say(str(write_report(runs, to=to)))
