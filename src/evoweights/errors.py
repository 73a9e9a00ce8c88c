"""Errors for people: each says where, what was found, what is allowed and what to do, and carries an exit code."""

import difflib
from collections.abc import Iterable


class EvoweightsError(Exception):
    """A condition the user can act on; shown as one message, never as a traceback."""

    exit_code = 1


class UsageError(EvoweightsError):
    """A command line, configuration or plugin name that cannot be used."""

    exit_code = 2


class DataError(EvoweightsError):
    """Training data, a tokenizer or a saved model that cannot be read."""

    exit_code = 3


class CheckpointError(EvoweightsError):
    """What a run has saved is damaged, such as every checkpoint, or an exported model does not equal its individual."""

    exit_code = 4


class PluginError(EvoweightsError):
    """A plugin raised, or broke the contract of its component."""

    exit_code = 5


class DivergedError(EvoweightsError):
    """No healthy individual is left: every loss is NaN or infinite."""

    exit_code = 6


class ResourceError(EvoweightsError):
    """Disk space or memory ran out, or a folder that is needed cannot be written."""

    exit_code = 7


class RunInUseError(EvoweightsError):
    """Another process holds the run directory."""

    exit_code = 8


class RunStopped(EvoweightsError):
    """The run was asked to stop and ended with a checkpoint, or at once if asked again; the same command continues it.

    ``what`` says what happened, ``advice`` how to go on; the message is both. ``exit_code`` is 130 after Ctrl-C (SIGINT) and
    143 after SIGTERM.
    """

    def __init__(self, what: str, *, advice: str = "", exit_code: int) -> None:
        super().__init__(f"{what} {advice}".rstrip())
        self.what, self.exit_code = what, exit_code


def did_you_mean(name: str, known: Iterable[str], *, none: str = "") -> str:
    """The end of an error message: the nearest known name, and the list of what is allowed; ``none`` if that is nothing."""
    known = sorted(known)
    if not known:
        return none and f" {none}"
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{hint} Known: {', '.join(known)}."
