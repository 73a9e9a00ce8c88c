"""Being asked to stop: SIGTERM and Ctrl-C end a run after the step it is in, with a checkpoint."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class StopRequest:
    """Whether somebody asked the run to stop. ``exit_code`` is 0 until then, afterwards 130 (Ctrl-C) or 143 (SIGTERM)."""

    exit_code: int = 0

    def __call__(self) -> int:
        """The exit code; 0 as long as the run may go on."""
        return self.exit_code


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn the first SIGTERM or Ctrl-C into a request; a Ctrl-C after it raises ``KeyboardInterrupt`` at once."""
    request = StopRequest()

    def ask(number: int, frame: FrameType | None) -> None:
        del frame
        if request() and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.exit_code = 128 + number

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
