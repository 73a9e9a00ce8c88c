"""What is said of a broken rule: what was found, for which case, and where in the author's code to look."""

import inspect
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import hypothesis

_HYPOTHESIS = Path(hypothesis.__file__).parent
_LONGEST = 300
"""Characters of a message that are shown."""


@dataclass(frozen=True)
class Told:
    """What was raised in a word or two, in whose code, and the case it was raised for."""

    found: str
    file: str
    line: int
    case: str

    @property
    def text(self) -> str:
        """All of it in one line, the file without its folder."""
        at = f"({Path(self.file).name}, line {self.line})"
        return f"Found: {self.found} {at} {self.case}".strip()


def told_of(error: BaseException, component: Any) -> Told:
    """What an error that a rule raised says of a component.

    The place is the innermost line of the component's own package; where none of it was running, where its class is
    written, or what failed if that is neither's.
    """
    frames = list(_frames(error.__traceback__))
    mine = _packages(component)
    own = [place for name, place in frames if name.partition(".")[0] in mine]
    last = frames[-1][1]
    said = str(error).strip().split("\n")[0][:_LONGEST]
    if not isinstance(error, AssertionError):
        what = type(error).__name__ + (f": {said}" if said else "")
    else:
        is_told = said and not said.startswith(
            "assert "
        )  # else it is what pytest makes of an assertion without a message
        what = said if is_told else f"`{last.line}`"
    is_foreign = frames[-1][0].partition(".")[0] != "evoweights"
    written = None if own or is_foreign else _written(component)
    at = own[-1] if own else last
    file, line = written or (at.filename, at.lineno)
    case = next((note for note in getattr(error, "__notes__", []) if note.startswith("with ")), "")
    return Told(what, file, line or 0, case)


def forget_hypothesis_(error: BaseException) -> None:
    """Cut an error's traceback down to what hypothesis called."""
    trace = inner = error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).is_relative_to(_HYPOTHESIS):
            inner = trace.tb_next or inner
        trace = trace.tb_next
    error.__traceback__ = inner


def _frames(trace: TracebackType | None) -> Iterator[tuple[str, traceback.FrameSummary]]:
    """Module and place of every frame but those of hypothesis and those that hide themselves from pytest."""
    while trace is not None:  # not by extract_tb, which leaves out what is beyond sys.tracebacklimit
        frame, line, trace = trace.tb_frame, trace.tb_lineno, trace.tb_next
        code = frame.f_code
        place = traceback.FrameSummary(code.co_filename, line, code.co_name)
        is_hidden = frame.f_locals.get("__tracebackhide__") or Path(place.filename).is_relative_to(_HYPOTHESIS)
        if not is_hidden:
            yield frame.f_globals.get("__name__", ""), place


def _packages(component: Any) -> set[str]:
    """The packages that its classes are from, but for those that they only build upon."""
    names = {each.__module__.partition(".")[0] for each in type(component).__mro__}
    return names - {"evoweights", "torch"} - sys.stdlib_module_names


def _written(component: Any) -> tuple[str, int] | None:
    """Where the component's class is written, if that is in a file."""
    for each in type(component).__mro__:
        try:
            file = inspect.getsourcefile(each)
            return (file, inspect.getsourcelines(each)[1]) if file else None
        except (OSError, TypeError):  # made at run time, or built in: the class that it is derived from
            continue
    return None
