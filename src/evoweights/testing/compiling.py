"""CPU seconds of a check, and apart from them those that Numba took to compile kernels."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evoweights.operators import GeneOperator

if TYPE_CHECKING:
    from numba.core.event import Event


@dataclass
class Spent:
    """CPU seconds: of the check without Numba's compiling, and of that. What Triton or CUDA compile is part of the check."""

    seconds: float = 0.0
    compiling: float = 0.0


@contextmanager
def measured(component: Any) -> Iterator[Spent]:
    """What is spent meanwhile, known afterwards; the import of Numba does not count."""
    spent = Spent()
    # To import the compiler for what has no kernel would cost more than its checks.
    has_kernel = isinstance(component, GeneOperator) or "numba" in sys.modules
    stop = _counting(spent) if has_kernel else None
    began = time.process_time()
    try:
        yield spent
    finally:
        spent.seconds = time.process_time() - began - spent.compiling
        if stop is not None:
            stop()


def _counting(spent: Spent) -> Callable[[], None]:
    """Count what Numba compiles from now on until what is given back is called."""
    from numba.core import event

    class Clock(event.Listener):
        """Counts the outermost of compilations that compile others on the way."""

        def __init__(self) -> None:
            self.depth, self.began = 0, 0.0

        def on_start(self, event: "Event") -> None:
            """Look at the clock."""
            if not self.depth:
                self.began = time.process_time()
            self.depth += 1

        def on_end(self, event: "Event") -> None:
            """Add what the outermost took."""
            self.depth -= 1
            if not self.depth:
                spent.compiling += time.process_time() - self.began

    clock = Clock()
    event.register("numba:compile", clock)
    return lambda: event.unregister("numba:compile", clock)
