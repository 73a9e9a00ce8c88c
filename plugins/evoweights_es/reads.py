"""Which operations read perturbed parameters where they are not: found by looking at all that is read in one evaluation."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Reads(TorchDispatchMode):
    """Notes what is read of the given stretches of memory: ``found`` are names by the path of the innermost module that runs,
    None if none does, with the operation that was first."""

    def __init__(self, stretches: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.found: dict[str | None, dict[str, str]] = {}
        self.running: list[str] = []
        self._stretches = sorted(
            (each.data_ptr(), each.data_ptr() + each.nbytes, name) for name, each in stretches.items()
        )
        self._begins = [begin for begin, _, _ in self._stretches]
        self._looks = True

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the operation and note what it reads; a view is as good as a reading, for that is what it is made for."""
        if self._looks:
            for name in self._names((args, kwargs)):
                here = self.found.setdefault(self.running[-1] if self.running else None, {})
                here.setdefault(name, str(func))
        return func(*args, **(kwargs or {}))

    @contextmanager
    def inside(self, path: str) -> Iterator[None]:
        """The module at this path runs."""
        self.running.append(path)
        try:
            yield
        finally:
            self.running.pop()

    @contextmanager
    def looking_away(self) -> Iterator[None]:
        """What is read here is allowed to be read."""
        before, self._looks = self._looks, False
        try:
            yield
        finally:
            self._looks = before

    def _names(self, values: Any) -> Iterator[str]:
        """Whose memory the tensors among the values lie in."""
        for each in tree_leaves(values):
            if isinstance(each, Tensor) and each.numel():
                address = each.data_ptr()
                _, end, name = self._stretches[bisect_right(self._begins, address) - 1]
                if self._begins[0] <= address < end:
                    yield name
