"""The command ``evoweights``."""

import errno
import io
import os
import signal
import sys
from typing import NoReturn

from evoweights.cli.loading import CODE, LINE
from evoweights.errors import EvoweightsError, ResourceError, RunStopped, UsageError

_NO_WAY_THERE = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS)
"""What no file can be reached for, wherever it was tried: never a bug of ours."""


def main() -> None:
    """Run the command line and exit; what the user can act on is one message and an exit code, never a traceback."""
    _make_streams_usable()
    try:
        from evoweights.cli.app import app

        app(prog_name="evoweights")
    except KeyboardInterrupt:
        _leave_on_ctrl_c()
    except SystemExit as error:
        if error.code == CODE:
            _leave_on_ctrl_c()
        raise
    except EvoweightsError as error:
        import typer

        if error.exit_code and not isinstance(error, RunStopped):
            typer.secho("error: ", fg="red", nl=False, err=True)
        typer.echo(str(error), err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        if not _has_a_working_directory():
            sys.stderr.write(
                "error: the folder in which this was started has been deleted. Change to one that is there.\n"
            )
            sys.exit(UsageError.exit_code)
        if error.filename is not None and error.errno in _NO_WAY_THERE:
            sys.stderr.write(
                f"error: {error.filename}: {error.strerror}. Give another path, or mend what is in its way.\n"
            )
            sys.exit(UsageError.exit_code)
        if error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
            raise
        sys.stderr.write(
            f"error: what was to be shown cannot be written: {error.strerror}. Free space and try again.\n"
        )
        from evoweights.cli.output import discard_output

        discard_output()
        sys.exit(ResourceError.exit_code)
    finally:
        # Whoever presses Ctrl-C again while a stopped run is leaving gets the exit code that was promised.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _flush()


def _make_streams_usable() -> None:
    """Let what a terminal cannot show be shown by its number, and what nobody reads, because it was closed, go nowhere."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - until the process ends
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _has_a_working_directory() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _leave_on_ctrl_c() -> NoReturn:
    """End a command in which there was nothing to save, or that is still being loaded."""
    sys.stderr.write(f"{LINE}\n")
    sys.exit(CODE)


def _flush() -> None:
    """Write what is left for stdout; a reader that has gone away is no error."""
    from evoweights.cli.output import discard_output

    try:
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()
