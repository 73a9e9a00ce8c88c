"""The training batches of the reference loop."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from evoweights.mounted import Mounted
from evoweights.task import Task


@dataclass(frozen=True)
class PlainFeed:
    """One batch after the other; ``state`` counts them."""

    task: Task
    state: dict[str, Any]

    def _batch(self, mounted: Mounted) -> Any:
        mounted.refresh_()
        self.state["batches"] += 1
        return self.task.batch(self.state["batches"] - 1)

    def draw(self, mounted: Mounted) -> "PlainSubset":
        """The next batch, to be scored."""
        return PlainSubset(self.task, mounted, self._batch(mounted))

    def next_loss(self, mounted: Mounted) -> Tensor:
        """The differentiable loss of the next batch."""
        return self.task.loss(mounted.module, self._batch(mounted))

    def add_gradient_(self, mounted: Mounted) -> Tensor:
        """Backward through the loss of the next batch; the loss."""
        losses = []
        for piece, share in self.task.pieces(self._batch(mounted)):
            loss = self.task.loss(mounted.module, piece) * share
            loss.backward()
            losses.append(loss.detach())
        return torch.stack(losses).sum()


@dataclass(frozen=True)
class PlainSubset:
    """A batch that was drawn."""

    task: Task
    mounted: Mounted
    batch: Any

    def scores(self, copies: int = 1) -> Tensor:
        """The loss of every item, float64."""
        batch = self.batch if copies == 1 else self.task.repeated(self.batch, copies)
        return self.task.scores(self.mounted.module, batch).double().cpu()
