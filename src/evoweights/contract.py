"""Calling components: whatever goes wrong inside one ends the run with its name, place and the right exit code."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from evoweights.errors import EvoweightsError, PluginError, ResourceError
from evoweights.improvers import NonFiniteStep
from evoweights.operators import Turn, TurnRule
from evoweights.seeds import Noise
from evoweights_kernels import CacheError

_LOG = logging.getLogger("evoweights")


class ComponentRaised(PluginError):
    """A component raised what is no error for people; the log has the traceback."""


@contextmanager
def calling(what: str) -> Iterator[None]:
    """Call a component; ``what`` names it and what it does, as in ``task digits: evaluate``.

    Raises:
        ComponentRaised: it raised anything that is not an error for people; also ``SystemExit``, which would look like success.
        ResourceError: memory ran out, or generated kernels cannot be written.
    """
    try:
        yield
    except (EvoweightsError, NonFiniteStep):
        raise
    except CacheError as error:
        raise ResourceError(f"{what}: {error}") from error
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise _out_of_memory(what, error) from error
    # Foreign code may raise anything; it is passed on with its origin, and the whole traceback goes to the log.
    except (Exception, SystemExit) as error:
        if "allocate memory" in str(error):
            raise _out_of_memory(what, error) from error
        _LOG.info("%s raised", what, exc_info=True)
        at = traceback.extract_tb(error.__traceback__)[-1]
        raised = f"{what} raised {type(error).__name__}: {error} ({at.filename}, line {at.lineno})."
        raise ComponentRaised(raised) from error


def chosen_turn(rule: TurnRule, generation: int, size: int, noise: Noise) -> Turn:
    """The turn of a generation in a population of ``size``, if it can be carried out.

    Raises:
        PluginError: the rule raised, or gave a row that is not there, or steps that are no whole number.
    """
    with calling(f"turn {rule.name}: choose"):
        turn = rule.choose(generation, size, noise)
        rows_are_fine = all(type(row) is int and 0 <= row < size for row in turn.rows)
        steps_are_fine = turn.steps is None or (type(turn.steps) is int and turn.steps >= 0)
    if not (rows_are_fine and steps_are_fine):
        raise PluginError(
            f"turn {rule.name}: choose gave {turn}; rows are whole numbers from 0 to {size - 1}, steps a whole number or None."
        )
    return turn


def _out_of_memory(what: str, error: BaseException) -> ResourceError:
    return ResourceError(
        f"{what}: out of memory ({str(error).splitlines()[0] if str(error) else type(error).__name__}). Make the population, "
        "the model or the batch smaller, or keep the population on disk; `evoweights validate` shows what a run takes."
    )
