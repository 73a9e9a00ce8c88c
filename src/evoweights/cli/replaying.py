"""The command that does a run again from its log."""

from pathlib import Path
from typing import Annotated

import typer

from evoweights.cli.loading import load_torch
from evoweights.cli.options import AllowEnv, RunFolder
from evoweights.cli.output import say
from evoweights.cli.places import where_it_was_started


def replay(
    run: RunFolder,
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also save what was rebuilt, as `evoweights export` does.")
    ] = None,
    allow_env: AllowEnv = None,
) -> None:
    """Rebuild a run's last weights from its first ones and steps.jsonl.

    Nothing is evaluated, and the result is compared with the newest checkpoint, bit for bit. Only runs of improvers that
    report their steps, such as es, can be replayed.
    """
    load_torch()
    from evoweights.runs.individuals import export_individual
    from evoweights.runs.replay import replay as do_again

    run, to = run.absolute(), to and to.absolute()
    with where_it_was_started(run):
        done = do_again(run, allow_env=allow_env or [])
        per_step = done.log_bytes / max(1, done.steps)
        say(f"{done.steps} steps replayed from {done.log_bytes:,} bytes ({per_step:,.0f} a step).")
        say(f"Bit for bit the weights of {done.checkpoint}.")
        if to is not None:
            say(export_individual(done.task, done.module, to))
