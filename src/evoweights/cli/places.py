"""Where the commands that open a run look for what its configuration names by relative paths."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOG = logging.getLogger("evoweights")


@contextmanager
def where_it_was_started(run: Path) -> Iterator[None]:
    """Work in the folder in which a run was last started, so that relative paths mean what they did.

    If that is not known, or not there (a run that was moved to another machine), work goes on where it is.

    Raises:
        UsageError: the folder is no run.
        CheckpointError: what the run says of its environment cannot be read.
    """
    from evoweights.runs.environment import working_directory
    from evoweights.storage.run_dir import RunDirectory

    started = RunDirectory.read(run).environment.get("working_directory")
    if isinstance(started, str) and os.path.isdir(started) and os.access(started, os.X_OK):
        here = working_directory()
        os.chdir(started)
        try:
            yield
        finally:
            if here is not None:
                os.chdir(here)
        return
    if isinstance(started, str):
        _LOG.warning(
            "%s was started in %s, which is not here; relative paths are taken from %s",
            run,
            started,
            working_directory(),
        )
    yield
