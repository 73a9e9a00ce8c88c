"""Nothing is compiled within a context, whichever threads have one open, and afterwards it is as it was."""

import threading

import pytest
import torch
from torch import nn

from evoweights.ledger.eager import eagerly


class Twice(nn.Module):
    def forward(self, x):
        return x + x


@pytest.fixture
def compiled():
    """A module whose uses are counted, and how many of them were by compiled code."""
    used = []

    def backend(graph, inputs):
        del inputs

        def run(*arguments):
            used.append(1)
            return graph(*arguments)

        return run

    torch._dynamo.reset()
    module = Twice()
    module.compile(backend=backend)
    module(torch.ones(3))
    assert used
    used.clear()
    yield module, used
    torch._dynamo.reset()


def test_within_it_a_module_runs_as_it_is_written(compiled):
    module, used = compiled
    with eagerly(), eagerly():
        module(torch.ones(3))
    assert not used
    module(torch.ones(3))
    assert used


def test_it_ends_with_an_error_as_well(compiled):
    module, used = compiled
    with pytest.raises(ValueError, match="within"), eagerly():
        raise ValueError("within")
    module(torch.ones(3))
    assert used


def test_contexts_of_two_threads_may_overlap(compiled):
    """The first to open is the first to close: with torch's own contexts the second puts back what the first had set."""
    module, used = compiled
    second_is_in, first_is_out = threading.Event(), threading.Event()

    def second():
        with eagerly():
            second_is_in.set()
            first_is_out.wait()

    thread = threading.Thread(target=second)
    with eagerly():
        thread.start()
        second_is_in.wait()
    module(torch.ones(3))
    assert not used, "the second thread's context is still open"
    first_is_out.set()
    thread.join()
    module(torch.ones(3))
    assert used
