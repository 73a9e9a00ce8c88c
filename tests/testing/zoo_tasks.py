"""Tasks that break a rule of theirs, modelled on bugs that were published; ``Line`` is sound."""

import itertools
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from evoweights.task import Task


class Fits(Task):
    """Fits a line to points."""

    tokens_per_batch = 8
    evaluation_batches = 1.0

    def __init__(self, place):
        self.place = place

    def points(self, *names):
        x = torch.randn(8, 3, generator=self.place.noise.at(*names).generator())
        return x, x.sum(1, keepdim=True) + 1.0

    def build(self):
        return nn.Linear(3, 1)

    def batch(self, index):
        return self.points("batch", index)

    def loss(self, module, batch):
        return (module(batch[0]) - batch[1]).square().mean()

    @torch.no_grad()
    def evaluate(self, module):
        return float(self.loss(module, self.points("validation")))


@dataclass(frozen=True)
class Line:
    """A task that fits a line."""

    name: ClassVar[str] = "line"
    source: ClassVar[str] = "a test"
    made: ClassVar[type] = Fits

    def open(self, place):
        return self.made(place)


def broken(opened):
    """The settings of a task that is broken in the way of ``opened``, with its docstring."""
    return type(opened.__name__, (Line,), {"__doc__": opened.__doc__, "made": opened})()


class NextBatch(Fits):
    """Gives the next batch of a stream, whatever its number (pymoo #558: resumed results differ)."""

    stream = itertools.count()

    def batch(self, index):
        return self.points("batch", next(self.stream))


class DrawsGlobally(Fits):
    """Draws its validation data from torch's generator (nevergrad #4: not reproducible from a seed)."""

    def evaluate(self, module):
        torch.rand(())
        return super().evaluate(module)


class OtherDataEachTime(Fits):
    """Splits its data anew whenever it is opened (optuna PR 967: not reproducible from a seed)."""

    opened = itertools.count()

    def __init__(self, place):
        super().__init__(place)
        self.number = next(self.opened)

    def points(self, *names):
        return super().points(*names, self.number)


class SharedModel(Fits):
    """Gives every individual the same weights in memory (PyGAD #25: an aliased array)."""

    weights = nn.Parameter(torch.ones(1, 3))

    def build(self):
        module = nn.Linear(3, 1)
        module.weight = self.weights
        return module


class Maximises(Fits):
    """Gives a score to be made large, with the gradient of the loss (evosax #72: min and max confused)."""

    def loss(self, module, batch):
        loss = super().loss(module, batch)
        return 2 * loss.detach() - loss if not loss.requires_grad else Turned.apply(loss)


class Turned(torch.autograd.Function):
    """A number with the gradient of its negative."""

    @staticmethod
    def forward(context, value):
        return value.clone()

    @staticmethod
    def backward(context, gradient):
        return -gradient


class Detached(Fits):
    """Its loss has no gradient."""

    def loss(self, module, batch):
        return super().loss(module, batch).detach()


class AnotherSubset(Fits):
    """Draws another validation subset every time (PyGAD #144: 0.7558, then 0.7429)."""

    asked = itertools.count()

    @torch.no_grad()
    def evaluate(self, module):
        return float(self.loss(module, self.points("validation", next(self.asked))))


class LeavesEvaluating(Fits):
    """Leaves the model in evaluation mode."""

    def evaluate(self, module):
        module.eval()
        return super().evaluate(module)


class LeavesGradients(Fits):
    """Measures with gradients and leaves them behind."""

    def evaluate(self, module):
        loss = self.loss(module, self.points("validation"))
        loss.backward()
        return float(loss.detach())


class Scores(Fits):
    """Its scores carry a graph, which keeps every batch in memory."""

    def scores(self, module, batch):
        return (module(batch[0]) - batch[1]).square().flatten()


class Halves(Fits):
    """Gives its pieces a share of 1 each."""

    def pieces(self, batch):
        x, y = batch
        return (((x[:4], y[:4]), 1.0), ((x[4:], y[4:]), 1.0))


class Interleaves(Fits):
    """Repeats every item where the whole batch was to be repeated."""

    def scores(self, module, batch):
        with torch.no_grad():
            return (module(batch[0]) - batch[1]).square().flatten()

    def repeated(self, batch, copies):
        return tuple(each.repeat_interleave(copies, 0) for each in batch)


class NoWork(Fits):
    """Cannot tell how large a batch is."""

    tokens_per_batch = 0


class Promises(Fits):
    """A reference that was never measured."""

    def references(self):
        return {"chance": float("nan")}


class Unnamed(Line):
    """Cannot be registered: nobody says where it is from."""

    source = ""


TASKS = (
    ("D01", broken(OtherDataEachTime)), ("D02", broken(NextBatch)), ("G06", broken(DrawsGlobally)),
    ("D03", broken(SharedModel)), ("D04", broken(Maximises)), ("D04", broken(Detached)), ("D05", broken(AnotherSubset)),
    ("D05", broken(LeavesEvaluating)), ("D05", broken(LeavesGradients)), ("D06", broken(Scores)),
    ("D07", broken(Halves)), ("D08", broken(Interleaves)), ("D09", broken(NoWork)), ("D10", broken(Promises)),
    ("G22", Unnamed()),
)  # fmt: skip
"""The rule that must notice, and the task."""
