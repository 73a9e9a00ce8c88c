"""Which folder a run gets: its name, a free one beside it, and refusing what is not this run."""

import difflib
import itertools
import os
import re
import shlex
from pathlib import Path

from evoweights.errors import UsageError, did_you_mean
from evoweights.storage import durable
from evoweights.storage.run_lock import HOLDER, LOCK
from evoweights.storage.run_parts import CHECKPOINTS, CONFIG, ENVIRONMENT, METRICS, read_text, refuse_damaged

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
_NAME_LINE = re.compile(r"^name:.*\n?", re.MULTILINE)
_DIFFERENCE = 20
_NEAR = 10
"""Of so many runs at most the names are told."""


def check_name(name: str) -> str:
    """A run's name as it is.

    Raises:
        UsageError: it cannot be the name of a folder everywhere.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"name: {name!r} cannot name a run; use 1 to 64 of A-Z a-z 0-9 . _ -, and no dot at the start."
        )
    return name


def check_output(output: Path) -> None:
    """See that runs can be made in a folder, as far as its name and those above it go.

    Raises:
        UsageError: one of them is a file.
    """
    for each in (output, *output.absolute().parents):
        try:
            if each.is_dir():
                return
        except OSError as error:  # a name that is too long, or a loop of links
            raise UsageError(
                f"output: {each} cannot be a folder: {error.strerror}. Choose another output folder."
            ) from error
        if os.path.lexists(each):
            raise UsageError(f"output: {each} is no folder, so no run can be made in it. Choose another output folder.")


def refuse_no_run(folder: Path) -> None:
    """See that a folder has the configuration of a run.

    Raises:
        UsageError: it has none; runs that are in it or beside it are named.
    """
    if os.path.lexists(folder / CONFIG):
        return
    if inside := _runs_in(folder):
        more = _more(inside, "Give one of them.")
        raise UsageError(f"{folder} is no run, but a folder of runs: {', '.join(inside[:_NEAR])}{more}")
    beside = _runs_in(folder.absolute().parent)
    near = difflib.get_close_matches(folder.name, beside, n=_NEAR, cutoff=0.0)
    known = did_you_mean(folder.name, near, none="Give the folder of a run, such as runs/NAME.")
    known = f"{known.removesuffix('.')}{_more(beside, '')}" if near else known
    raise UsageError(f"{folder} is no run: it has no {CONFIG}.{known}")


def _runs_in(folder: Path) -> list[str]:
    """The names of the runs in a folder; a config.yaml alone may be of anything."""
    found = (path.parent for path in folder.glob(f"*/{CONFIG}"))
    parts = (ENVIRONMENT, METRICS, CHECKPOINTS)
    return sorted(each.name for each in found if any(os.path.lexists(each / part) for part in parts))


def _more(names: list[str], advice: str) -> str:
    """The end of a list of names that is cut."""
    more = f" and {len(names) - _NEAR} more" if len(names) > _NEAR else ""
    return f"{more}. {advice}".rstrip()


def free_folder(folder: Path) -> Path:
    """The folder itself if there is none yet, else one beside it; made here, so nobody else takes it."""
    with durable.disk_errors(f"The run directory {folder}"):
        durable.make_folder(folder.parent)
        names = itertools.chain([folder.name], (f"{folder.name}-{number}" for number in itertools.count(2)))
        return next(free for name in names if _is_made(free := folder.with_name(check_name(name))))


def _is_made(folder: Path) -> bool:
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    durable.sync_folder(folder.parent)
    return True


def refuse_other(folder: Path, config_text: str) -> None:
    """See that a folder is not there, or an undamaged run of this configuration, or one whose making was interrupted."""
    if os.path.lexists(folder / CONFIG):
        refuse_damaged(folder)
        _refuse_difference(folder, read_text(folder / CONFIG), config_text)
        return
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, not a run directory. Choose another name or output folder.")
    strange = [] if not folder.exists() else sorted(each.name for each in folder.iterdir())
    strange = [name for name in strange if not name.startswith((LOCK, HOLDER, *durable.TEMPORARY))]
    if strange:
        raise UsageError(
            f"{folder} is no run (it has no {CONFIG}) but holds {', '.join(strange[:5])}; nothing is changed. "
            "Choose another name or output folder."
        )


def is_unused(folder: Path) -> bool:
    """Whether a folder is a run's that ended before it had anything to lose: no generation and no checkpoint, not even one
    that was set aside. A folder of something else is not."""
    metrics, checkpoints = folder / METRICS, folder / CHECKPOINTS
    is_run = (folder / ENVIRONMENT).is_file() and checkpoints.is_dir()
    is_empty = not metrics.exists() or metrics.stat().st_size == 0
    return is_run and is_empty and not any(checkpoints.glob("*step-*"))


def _refuse_difference(folder: Path, there: str, now: str) -> None:
    # The name is the folder's; a run made by --fresh is called otherwise than its configuration says.
    old, new = (_NAME_LINE.sub("", text).splitlines() for text in (there, now))
    if old == new or is_unused(folder):
        return
    lines = list(difflib.unified_diff(old, new, lineterm="", n=0))[2:]
    lines = [f"  {line}" for line in lines if not line.startswith("@@")]
    more = [f"  ... and {len(lines) - _DIFFERENCE} lines more"] if len(lines) > _DIFFERENCE else []
    raise UsageError(
        "\n".join(
            [
                f"The run {folder} was started with another configuration (- {CONFIG} there, + now):",
                *lines[:_DIFFERENCE],
                *more,
                f"Continue it as it was with: evoweights resume {shlex.quote(str(folder))}. "
                "Start anew beside it with another name or --fresh.",
            ]
        )
    )
