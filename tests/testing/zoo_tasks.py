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


class Times(OtherDataEachTime):
    """Has the time of its opening, here a number, in its fingerprint: no run can be resumed."""

    opened = itertools.count()

    def points(self, *names):
        return Fits.points(self, *names)

    def fingerprint(self):
        return {"opened": str(self.number)}


class Counts(Fits):
    """Has a number in its fingerprint where text is asked for."""

    def fingerprint(self):
        return {"points": 8}


class ValidatesElsewhere(OtherDataEachTime):
    """Splits its validation data anew whenever it is opened (optuna PR 967: not reproducible from a seed)."""

    opened = itertools.count()

    def points(self, *names):
        return super().points(*names) if names[0] == "validation" else Fits.points(self, *names)


class DrawsElsewhere(Fits):
    """Draws its models from a generator of its own, which nobody seeds."""

    generator = torch.Generator().manual_seed(0)

    @torch.no_grad()
    def build(self):
        module = nn.Linear(3, 1)
        module.weight.copy_(torch.randn(1, 3, generator=self.generator))
        return module


class Frozen(Fits):
    """Gives models whose weights are all frozen."""

    def build(self):
        return nn.Linear(3, 1).requires_grad_(False)


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


class PerItem(Fits):
    """Forgets to take the mean of the losses."""

    def loss(self, module, batch):
        return (module(batch[0]) - batch[1]).square().flatten()


class Roots(Fits):
    """Adds the root of a square that is 0, whose gradient is NaN."""

    def loss(self, module, batch):
        return super().loss(module, batch) + (module.weight - module.weight).square().sum().sqrt()


class AnotherSubset(Fits):
    """Draws another validation subset every time (PyGAD #144: 0.7558, then 0.7429)."""

    asked = itertools.count()

    @torch.no_grad()
    def evaluate(self, module):
        return float(self.loss(module, self.points("validation", next(self.asked))))


class Tensors(Fits):
    """Gives its fitness as a tensor, which keeps the device waiting for whoever looks at it."""

    @torch.no_grad()
    def evaluate(self, module):
        return self.loss(module, self.points("validation"))


class Normalises(Fits):
    """Learns from validation data what it normalises by (batch norm in training mode)."""

    def build(self):
        return nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1))


class Freezes(Fits):
    """Freezes the model to measure it, and leaves it so."""

    def evaluate(self, module):
        return super().evaluate(module.requires_grad_(False))


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


class Columns(Fits):
    """Gives a loss for every number of an item."""

    @torch.no_grad()
    def scores(self, module, batch):
        return (module(batch[0]) - batch[1]).square()


class SameHalf(Fits):
    """Cuts a batch into two pieces that are both the first half of it."""

    def pieces(self, batch):
        x, y = batch
        return (((x[:4], y[:4]), 0.5), ((x[:4], y[:4]), 0.5))


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


class Estimates(Fits):
    """Gives its work as a fraction."""

    def flops(self, module, share=None):
        return 1e6 / 3


class ForgetsBackward(Fits):
    """Takes the backward pass for all of the work and forgets the forward pass in it."""

    def gradient_flops(self, module, share=None):
        return self.flops(module, share) // 2


class ShowsNumbers(Fits):
    """Gives numbers for a sample."""

    def sample(self, module):
        return [1.0, 2.0]


class Writes(Fits):
    """Generates text and says that it does not."""

    def generate(self, module, prompt, *, tokens, temperature, seed):
        return prompt


class Promises(Fits):
    """A reference that was never measured."""

    def references(self):
        return {"chance": float("nan")}


class Unnamed(Line):
    """Cannot be registered: nobody says where it is from."""

    source = ""


TASKS = (
    ("D01", broken(OtherDataEachTime), "the first batch is another"),
    ("D01", broken(Times), "the fingerprint is another: opened: "),
    ("D01", broken(Counts), "the fingerprint is not text by name: {'points': 8}"),
    ("D01", broken(ValidatesElsewhere), "the fitness is another"),
    ("D02", broken(NextBatch), "batch 0 is another the second time"),
    ("D03", broken(SharedModel), "two models share weights"),
    ("D03", broken(DrawsElsewhere), "one seed gives two models"),
    ("D03", broken(Frozen), "there is nothing to evolve"),
    ("D04", broken(Maximises), "a step down its gradient leads from "),
    ("D04", broken(Detached), "the loss has no gradient"),
    ("D04", broken(PerItem), "the loss is not one finite number: tensor(["),
    ("D04", broken(Roots), "no parameter has a finite gradient"),
    ("D05", broken(AnotherSubset), "the second time the fitness is another"),
    ("D05", broken(Tensors), "the fitness is no finite float: tensor("),
    ("D05", broken(Normalises), "the model is not left as it was: weights or buffers changed"),
    ("D05", broken(Freezes), "the model is not left as it was: what takes gradients changed"),
    ("D05", broken(LeavesEvaluating), "the model is not left as it was: training modes changed"),
    ("D05", broken(LeavesGradients), "the model is not left as it was: gradients changed"),
    ("D06", broken(Scores), "the scores have gradients"),
    ("D06", broken(Columns), "the scores are not one finite number an item: tensor([["),
    ("D07", broken(Halves), "the shares add up to 2.0, not to 1"),
    ("D07", broken(SameHalf), "that of its pieces "),
    ("D08", broken(Interleaves), "the copies have other scores"),
    ("D09", broken(NoWork), "tokens_per_batch is 0, no whole number from 1"),
    ("D09", broken(Estimates), "flops gave 333333.3333333333, no whole number from 0"),
    ("D09", broken(ForgetsBackward), "operations, a forward pass "),
    ("D10", broken(Promises), "a reference is no finite number: {'chance': nan}"),
    ("D10", broken(ShowsNumbers), "sample gave list, neither text nor None"),
    ("D10", broken(Writes), "generates is False, and it generates"),
    ("G06", broken(DrawsGlobally), "not left as it was: torch's generator"),
    ("G22", Unnamed(), "needs a class attribute `source`"),
)
"""The rule that must notice, the task, and words of what the author is told."""
