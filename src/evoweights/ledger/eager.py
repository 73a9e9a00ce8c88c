"""Modules run as they are written, whatever of them is compiled."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class _Eagerly:
    """The contexts that are open, in any thread, and torch's stance of before the first of them."""

    def __init__(self) -> None:
        self._lock, self._open = threading.Lock(), 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """A context in which nothing is compiled and nothing that is compiled is used.

        Torch's stance is one for the process, and each of torch's own contexts puts back what it found: of two threads whose
        contexts overlap, the later would put back the other's, and nothing would be compiled ever again. Here the first in
        sets it and the last out puts it back.
        """
        with self._lock:
            if not self._open:
                self._stance = torch.compiler.set_stance("force_eager")  # from here on; entering it again sets the same
            self._open += 1
        try:
            yield
        finally:
            with self._lock:
                self._open -= 1
                if not self._open:
                    self._stance.__exit__(None, None, None)


eagerly = _Eagerly()
"""One for the process, as torch's stance is."""
