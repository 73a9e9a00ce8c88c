"""Whether EvoTorch is there, and its quiet import."""

import importlib
import importlib.metadata
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from evoweights.errors import UsageError


def require_evotorch(searcher: str) -> None:
    """See that EvoTorch is installed, without importing it.

    Raises:
        UsageError: it is not.
    """
    try:
        importlib.metadata.version("evotorch")
    except importlib.metadata.PackageNotFoundError as error:
        raise UsageError(
            f"improve {searcher}: EvoTorch is not installed. Install it with `pip install evoweights[evotorch]`, or use an "
            "improver of another plugin, such as es."
        ) from error


@contextmanager
def quietly() -> Iterator[None]:
    """Use EvoTorch without its log lines; what it imports leaves no warning filters behind."""
    if "evotorch" not in sys.modules:
        with warnings.catch_warnings():
            importlib.import_module("evotorch")  # sets the level of its logger
    logger = logging.getLogger("evotorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
