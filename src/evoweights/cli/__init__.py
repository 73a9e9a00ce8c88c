"""The command ``evoweights``."""

import errno
import signal
import sys
from typing import NoReturn

from evoweights.cli.loading import CODE, LINE
from evoweights.errors import EvoweightsError, ResourceError, RunStopped


def main() -> None:
    """Run the command line and exit; what the user can act on is one message and an exit code, never a traceback."""
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
