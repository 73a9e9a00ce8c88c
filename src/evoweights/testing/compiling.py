"""CPU seconds of a check, and apart from them those that kernels took to compile: a machine spends those once."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evoweights.operators import GeneOperator

if TYPE_CHECKING:
    from numba.core.event import Event


@dataclass
class Spent:
    """CPU seconds: of the check without compiling, and of compiling for it."""

    seconds: float = 0.0
    compiling: float = 0.0


@contextmanager
def measured(component: Any) -> Iterator[Spent]:
    """What is spent meanwhile, known afterwards."""
    spent, began = Spent(), time.process_time()
    # To import the compiler for what has no kernel would cost more than its checks.
    has_kernel = isinstance(component, GeneOperator) or "numba" in sys.modules
    try:
        with _compilations(spent) if has_kernel else nullcontext():
            yield spent
    finally:
        spent.seconds = time.process_time() - began - spent.compiling


@contextmanager
def _compilations(spent: Spent) -> Iterator[None]:
    """Count what Numba spends meanwhile; its import, if this is the first time, as well."""
    is_first, began = "numba" not in sys.modules, time.process_time()
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

    if is_first:
        spent.compiling += time.process_time() - began
    clock = Clock()
    event.register("numba:compile", clock)
    try:
        yield
    finally:
        event.unregister("numba:compile", clock)
