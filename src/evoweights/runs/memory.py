"""How much memory a training step needs besides what stays allocated, found by taking one.

Every tensor that an operation makes is counted from then until nothing refers to it. The step may be taken with tensors
that have a shape but no content: then a model of any size costs seconds and no memory.
"""

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from evoweights.ledger.eager import eagerly
from evoweights.mounted import Mounted
from evoweights.progress import Progress
from evoweights.task import Task
from evoweights.training import Feed


class _Counting(TorchDispatchMode):
    """Bytes of all storages made in it that are still alive, and the most there ever were; those of ``known`` do not count."""

    def __init__(self, known: Iterable[torch.Tensor]) -> None:
        super().__init__()
        self.alive = self.peak = 0
        self._seen = WeakIdKeyDictionary()
        for tensor in known:
            self._seen[tensor.untyped_storage()] = True

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Do what is asked and count what it gives."""
        results = func(*args, **(kwargs or {}))
        for each in tree_leaves(results):
            if isinstance(each, torch.Tensor):
                self._count(each.untyped_storage())
        return results

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage in self._seen:
            return
        self._seen[storage] = True
        size = storage.nbytes()
        self.alive += size
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self._forget, size)

    def _forget(self, size: int) -> None:
        self.alive -= size


def mounted_buffers(mounted: Mounted) -> list[torch.Tensor]:
    """Everything that stays allocated for the live module, each buffer once."""
    return [*(each for part in mounted.parts for each in part.buffers()), *mounted.module.buffers()]


def step_bytes(task: Task, mounted: Mounted) -> int:
    """The most memory that one training step on a mounted individual needs beyond its buffers; where no gradients are
    taken, that one batch needs to be scored.

    On CUDA devices it is what torch's allocator says, otherwise the sum of the tensors.
    """
    feed, device = Feed(task, Progress()), mounted.own.weights.device
    step = feed.add_gradient_ if mounted.own.takes_gradients else lambda mounted: feed.draw(mounted).scores()
    mounted.refresh_()
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        step(mounted)
        return torch.cuda.max_memory_allocated(device) - before
    with _Counting(mounted_buffers(mounted)) as counted:
        step(mounted)
    return counted.peak


@contextmanager
def without_content() -> Iterator[None]:
    """Tensors that are made here have a shape and a type only; nothing is compiled."""
    with eagerly(), FakeTensorMode(allow_non_fake_inputs=True):
        yield
