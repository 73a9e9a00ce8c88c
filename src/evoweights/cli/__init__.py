"""The command ``evoweights``."""

import errno
import io
import os
import signal
import sys
from typing import NoReturn, TextIO

from evoweights.cli.loading import CODE, LINE
from evoweights.errors import EvoweightsError, ResourceError, RunStopped, UsageError

_NO_WAY_THERE = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS)
"""What no file can be reached for, wherever it was tried: never a bug of ours."""


def main() -> None:
    """Run the command line and exit; what the user can act on is one message and an exit code, never a traceback."""
    _make_streams_usable()
    stdout = sys.stdout
    try:
        from evoweights.cli.app import app

        app(prog_name="evoweights")
    except KeyboardInterrupt:
        _leave_on_ctrl_c()
    except SystemExit as error:
        if error.code == CODE:
            _leave_on_ctrl_c()
        # Typer leaves so where nobody reads any more.
        if error.code == 1 and type(sys.stdout).__name__ == "PacifyFlushWrapper":
            _discard(stdout)
            sys.exit(0)
        raise
    except EvoweightsError as error:
        _leave(str(error), error.exit_code, is_error=bool(error.exit_code) and not isinstance(error, RunStopped))
    except OSError as error:
        _leave_on(error)
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
    _leave(LINE, CODE, is_error=False)


def _leave_on(error: OSError) -> NoReturn:
    """End a command for what is wrong with its surroundings; anything else is a bug of ours and raised again."""
    if (code := _code_of_click(error.__context__)) is not None:  # the message that it stood for cannot be written
        _discard(sys.stderr)
        sys.exit(code)
    if not _has_a_working_directory():
        _leave(
            "the folder in which this was started has been deleted. Change to one that is there.", UsageError.exit_code
        )
    if error.filename is not None and error.errno in _NO_WAY_THERE:
        what = f"{error.filename}: {error.strerror}. Give another path, or mend what is in its way."
        _leave(what, UsageError.exit_code)
    if error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        raise error
    _discard(sys.stdout)
    what = f"what was to be shown cannot be written: {error.strerror}. Free space and try again."
    _leave(what, ResourceError.exit_code)


def _code_of_click(error: BaseException | None) -> int | None:
    """The exit code of an error of Click's, whose own copy some versions of Typer have; None for any other."""
    is_clicks = any(each.__name__ == "ClickException" for each in type(error).__mro__)
    return getattr(error, "exit_code", None) if is_clicks else None


def _leave(message: str, code: int, *, is_error: bool = True) -> NoReturn:
    """End the command with a message on stderr; where that cannot be written the exit code still says what happened."""
    try:
        if is_error:
            import typer

            typer.secho("error: ", fg="red", nl=False, err=True)
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)
    sys.exit(code)


def _flush() -> None:
    """Write what is left for stdout; a reader that has gone away is no error."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard(sys.stdout)


def _discard(stream: TextIO) -> None:
    from evoweights.cli.output import discard_output

    discard_output(stream)
