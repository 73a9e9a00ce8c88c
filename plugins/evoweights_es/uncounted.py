"""Passes that are no work of the run: what each process does once more, so that a count must not depend on interruptions."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from evoweights.mounted import Mounted

Result = TypeVar("Result")


@contextmanager
def uncounted(mounted: "Mounted") -> Iterator[None]:
    """Leave what is scored meanwhile out of the run's FLOPs."""
    before, mounted.is_counted = mounted.is_counted, False
    try:
        yield
    finally:
        mounted.is_counted = before


def counted_once(mounted: "Mounted", run: Callable[[], Result]) -> Callable[[], Result]:
    """The same call, of which only the first counts: it may be needed again to find out what reads what."""
    calls = itertools.count()

    def call() -> Result:
        with uncounted(mounted) if next(calls) else nullcontext():
            return run()

    return call
