"""Models in evaluation mode, for as long as they are measured."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """The module in evaluation mode, put back afterwards."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)
