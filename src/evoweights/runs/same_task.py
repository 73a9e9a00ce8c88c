"""Whether a task is still made of what a run was started with: its data, its model, whatever it gives a fingerprint of."""

import logging
from collections.abc import Mapping

from evoweights.contract import calling
from evoweights.errors import DataError, PluginError
from evoweights.task import Task

_LOG = logging.getLogger("evoweights")


def fingerprint_of(task: Task) -> dict[str, str]:
    """The digest of every part that the task gives one of.

    Raises:
        PluginError: the task gives something else.
    """
    name = f"{type(task).__name__}: fingerprint"
    with calling(name):
        found = task.fingerprint()
    is_texts = isinstance(found, Mapping) and all(isinstance(each, str) for pair in found.items() for each in pair)
    if not is_texts:
        raise PluginError(f"{name} gave {found!r}, expected a mapping of names to digests, both texts.")
    return dict(found)


def refuse_other_task(then: Mapping[str, str] | None, now: Mapping[str, str], *, where: str) -> None:
    """See that no part differs from ``then``, what ``where`` was made with; None for before there were fingerprints.

    Raises:
        DataError: at least one does.
    """
    if others := different_parts(then or {}, now):
        raise DataError(
            f"{where}: {others} of the task now differ from those that the run was started with, so it would not be "
            "continued but mixed with another one. Put back what they were (the files that its configuration names, or "
            "the run's folder task/), or start anew beside it with --fresh."
        )
    unknown = sorted((then or {}).keys() ^ now.keys())
    if unknown:
        _LOG.info("%s: the %s of the task could not be compared with those of the start", where, _listed(unknown))


def warn_of_other_task(then: Mapping[str, str], now: Mapping[str, str], *, where: str) -> None:
    """Say so if a part differs from ``then``, what ``where`` was made with; the weights are used all the same."""
    if others := different_parts(then, now):
        _LOG.warning("%s: %s of the task now differ from those that these weights were made with", where, others)


def different_parts(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """The parts of which both sides know a digest, but not the same; empty if there is none."""
    names = [name for name in then if name in now and then[name] != now[name]]
    return _listed([f"the {name}" for name in names])


def _listed(names: list[str]) -> str:
    return " and ".join([*([", ".join(names[:-1])] if names[1:] else []), *names[-1:]])
