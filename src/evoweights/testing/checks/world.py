"""What is global: a component neither draws from it nor changes it."""

import os
import random
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from evoweights.testing.comparing import bits


def draw_elsewhere() -> None:
    """Move every global generator on."""
    torch.rand(3)
    np.random.rand(3)
    random.random()


@contextmanager
def unchanged_world() -> Iterator[None]:
    """Raise if what is done meanwhile draws from a global generator, or changes a setting of torch, numpy or the process."""
    draw_elsewhere()  # or one that always seeds alike would leave all as it was
    before, threads = _world(), {*threading.enumerate()}
    yield
    after = _world()
    changed = [name for name, was in before.items() if was != after[name]]
    # Threads of others may end meanwhile.
    changed += [f"a new thread ({each.name})" for each in threading.enumerate() if each not in threads]
    assert not changed, f"not left as it was: {', '.join(changed)}"


def _world() -> dict[str, object]:
    return {
        "torch's generator": bits(torch.random.get_rng_state()),
        "numpy's generator": str(np.random.get_state()),
        "Python's generator": random.getstate(),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's default device": torch.get_default_device(),
        "torch's number of threads": torch.get_num_threads(),
        "whether torch takes gradients": torch.is_grad_enabled(),
        "torch's autocast": torch.is_autocast_enabled("cpu"),
        "torch's deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "numpy's error settings": np.geterr(),
        "the working directory": os.getcwd(),
        "environment variables": dict(os.environ),
        "filters of warnings": list(warnings.filters),
    }
