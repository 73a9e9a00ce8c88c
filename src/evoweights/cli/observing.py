"""What a command shows of the runs that it carries out."""

import dataclasses
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evoweights.config.run_config import RunConfig


def quieted(config: "RunConfig") -> "RunConfig":
    """The run with every observer that has a setting ``quiet`` made so."""
    from evoweights.config.observers import with_observers

    def hushed(observer: Any) -> Any:
        return dataclasses.replace(observer, quiet=True) if _may_be_quiet(observer) else observer

    return with_observers(config, [hushed(each) for each in config.observers])


def silenced(config: "RunConfig") -> "RunConfig":
    """The run without the observers that have a setting ``quiet``: they write where a command's own output goes."""
    from evoweights.config.observers import with_observers

    return with_observers(config, [each for each in config.observers if not _may_be_quiet(each)])


def _may_be_quiet(observer: Any) -> bool:
    return "quiet" in [each.name for each in dataclasses.fields(observer)]


def warn_on_stderr() -> None:
    """Show warnings of the engine and its plugins."""
    logger = logging.getLogger("evoweights")
    logger.setLevel(logging.INFO)
    # Python's own last resort: warnings to whatever stderr is at that moment, so that a live panel can step aside.
    if logging.lastResort is not None:
        logger.addHandler(logging.lastResort)
