"""Loading torch, which takes seconds, in such a way that Ctrl-C ends the command at once."""

import os
import signal
import sys
from types import FrameType

LINE = "Stopped by Ctrl-C."
CODE = 128 + signal.SIGINT


def load_torch() -> None:
    """Import torch; until that is done, nothing is there that an interrupted command would have to clean up.

    Within torch's own code an interrupt is no exception that can be relied on: where it imports numpy, it takes it for
    numpy missing and goes on.
    """
    sys.stdout.flush()
    os.getcwd()  # in a folder that was deleted torch ends the process, so say that first
    before = signal.signal(signal.SIGINT, _leave_at_once)
    try:
        import torch  # noqa: F401 - for what comes after
    finally:
        signal.signal(signal.SIGINT, before)


def _leave_at_once(number: int, frame: FrameType | None) -> None:
    del number, frame
    os.write(2, f"{LINE}\n".encode())
    os._exit(CODE)
