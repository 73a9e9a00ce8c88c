"""Improvers that break a rule of theirs, modelled on bugs that were published; ``Descends`` is sound."""

import itertools
import math
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import torch

from evoweights.improvers import NonFiniteStep
from evoweights.population import Slot


@dataclass(frozen=True)
class Descends:
    """Gradient descent with momentum."""

    name: ClassVar[str] = "descends"
    source: ClassVar[str] = "a test"

    steps: int = 3
    rate: float = 1e-3

    @property
    def slots(self):
        return (Slot("descends.momentum"),)

    def loss(self, mounted, feed):
        for part in mounted.parts:
            part.gradient.zero_()
        value = float(feed.add_gradient_(mounted))
        if not math.isfinite(value):
            raise NonFiniteStep(f"the loss is {value}")
        return value

    def change_(self, part, moment):
        momentum = part.slots["descends.momentum"]
        momentum.mul_(0.9).add_(part.gradient)
        part.weights.sub_((self.rate * momentum).to(part.weights.dtype))
        part.counters["descends.steps"] = part.counters.get("descends.steps", 0) + 1

    def step(self, mounted, feed, moment):
        value = self.loss(mounted, feed)
        for part in mounted.parts:
            self.change_(part, moment)
        return value


class Global(Descends):
    """Adds noise from torch's generator (nevergrad #4: not reproducible from a seed)."""

    def change_(self, part, moment):
        super().change_(part, moment)
        part.weights.add_(torch.randn(1).to(part.weights.dtype) * 1e-2 * (part.gradient != 0))


class Idles(Descends):
    """Computes its step and does not take it."""

    def change_(self, part, moment):
        (self.rate * part.gradient).to(part.weights.dtype)


class Spills(Descends):
    """Draws a number that it does not use, so that others get other numbers."""

    def change_(self, part, moment):
        torch.rand(())
        super().change_(part, moment)


class Everything(Descends):
    """Decays the whole buffer, padding included."""

    def change_(self, part, moment):
        super().change_(part, moment)
        part.weights.sub_(1e-4)


class Floors(Descends):
    """Keeps its momentum away from 0, where there are no genes as well."""

    def change_(self, part, moment):
        momentum, is_gene = part.slots["descends.momentum"], part.gradient != 0
        momentum.mul_(0.9).add_(part.gradient).clamp_(min=1e-12)
        part.weights.sub_((self.rate * momentum * is_gene).to(part.weights.dtype))


class Thaws(Descends):
    """Writes frozen parameters."""

    def step(self, mounted, feed, moment):
        value = super().step(mounted, feed, moment)
        for each in mounted.module.parameters():
            if not each.requires_grad:
                each.data.mul_(0.5)
                torch.autograd.graph.increment_version(each)
        return value


class ByTarget(Descends):
    """Does something else on the reference target."""

    def change_(self, part, moment):
        super().change_(part, moment)
        if moment.backend == "reference":
            part.weights.mul_(0.5)


@dataclass(frozen=True)
class InItself(Descends):
    """Keeps its momentum in itself: it is lost at every resume (pymoo #558: resumed results differ)."""

    kept: dict = field(default_factory=dict, compare=False, repr=False)

    def change_(self, part, moment):
        momentum = self.kept.get(part.layout, torch.zeros_like(part.gradient)) * 0.9 + part.gradient
        self.kept[part.layout] = momentum
        part.weights.sub_((self.rate * momentum).to(part.weights.dtype))


@dataclass(frozen=True)
class Tuples(Descends):
    """A setting that JSON gives back as another type: no configuration can hold it."""

    betas: tuple = (0.9, 0.99)


class Levels(Descends):
    """Sets every weight to 0, whoever's it is."""

    def change_(self, part, moment):
        part.weights.zero_()


class CountsInItself(Descends):
    """Tells every individual how many steps it has made itself: a resumed run tells another number."""

    taken: ClassVar = itertools.count()

    def change_(self, part, moment):
        super().change_(part, moment)
        part.counters["descends.steps"] = next(self.taken)


@dataclass(frozen=True)
class Counting(Descends):
    """Corrects its bias by the number of all its steps, whoever's they were (koifish: one global counter)."""

    taken: object = field(default_factory=itertools.count, compare=False, repr=False)

    def change_(self, part, moment):
        part.gradient.mul_(1.0 / (1 + next(self.taken)))
        super().change_(part, moment)


class Swallows(Descends):
    """Steps on whatever the loss is (pycma #163, libcmaes #102: NaN)."""

    def loss(self, mounted, feed):
        for part in mounted.parts:
            part.gradient.zero_()
        return float(feed.add_gradient_(mounted))


class Skips(Descends):
    """Passes silently over a loss that is not finite, as scalers of gradients do."""

    def step(self, mounted, feed, moment):
        try:
            return super().step(mounted, feed, moment)
        except NonFiniteStep:
            return 0.0


class TooLate(Descends):
    """Looks at the loss after it has changed the weights."""

    def step(self, mounted, feed, moment):
        for part in mounted.parts:
            part.weights.mul_(0.999)
        return super().step(mounted, feed, moment)


class OwnSlot(NamedTuple):
    """What the improver's author takes for a slot."""

    name: str
    role: str = "optimizer"
    dtype: str = "float32"

    def dtype_for(self, layout):
        return torch.float32


class Lookalikes(Descends):
    """Declares its slots by a class of its own."""

    @property
    def slots(self):
        return (OwnSlot("descends.momentum"),)


@dataclass(frozen=True)
class Records(Descends):
    """Keeps the losses it has seen in a setting."""

    history: list = field(default_factory=list, compare=False)

    def step(self, mounted, feed, moment):
        self.history.append(super().step(mounted, feed, moment))
        return self.history[-1]


class Hides(Descends):
    """Keeps a second vector that it has not declared, and that no checkpoint saves."""

    def change_(self, part, moment):
        super().change_(part, moment)
        part.slots["descends.average"] = part.weights.clone()


class Undeclared(Descends):
    """Counts its steps under a name that is not its own."""

    def change_(self, part, moment):
        super().change_(part, moment)
        part.counters["steps"] = part.counters.get("steps", 0) + 1


class Unregistered(Descends):
    """Cannot be registered: nobody says where it is from."""

    source = ""


class Replays(Descends):
    """Reports the size of its step without its sign."""

    def step(self, mounted, feed, moment):
        before = [part.weights.clone() for part in mounted.parts]
        value = super().step(mounted, feed, moment)
        moved = [float((part.weights - was).float().mean()) for part, was in zip(mounted.parts, before, strict=True)]
        moment.report({"moved": [abs(each) for each in moved]})
        return value

    def replay(self, mounted, moment, report):
        for part, each in zip(mounted.parts, report["moved"], strict=True):
            part.weights.add_(each)


class Silent(Descends):
    """Offers to replay its steps and reports none of them."""

    def replay(self, mounted, moment, report):
        raise NotImplementedError


IMPROVERS = (
    ("G04", Global(), "the second time the steps were others: losses, step 1: "),
    ("G04", Idles(), "three steps change nothing"),
    ("G06", Spills(), "not left as it was: torch's generator"),
    ("G16", Everything(), "a frozen parameter changed"),
    ("G16", Thaws(), "a frozen parameter changed"),
    ("G16", Floors(), "padding was written"),
    ("G18", ByTarget(), "cpu makes other bits than the reference"),
    ("G21", InItself(), "the next losses are others"),
    ("G21", Tuples(), "settings change on their way through JSON: Tuples("),
    ("G21", Levels(), "two individuals end up alike"),
    ("G21", CountsInItself(), "what was saved is not all that the next steps depend on"),
    ("G22", Unregistered(), "needs a class attribute `source`"),
    ("G23", Counting(), "beside another it does something else"),
    ("A06", Swallows(), "weights or state changed"),
    ("A06", TooLate(), "weights or state changed"),
    ("A06", Skips(), "a loss times nan was not refused with NonFiniteStep"),
    ("A09", Undeclared(), "what it keeps does not begin with its name: steps"),
    ("A09", Lookalikes(), "its slots are not all of the class Slot: (OwnSlot("),
    ("A09", Records(), "its settings changed"),
    (
        "A09",
        Hides(),
        "it keeps the slots ['descends.average', 'descends.momentum'], declared are ['descends.momentum']",
    ),
    ("A10", Replays(), "the replayed steps are others"),
    ("A10", Silent(), "0 reports of 3 steps"),
)
"""The rule that must notice, the improver, and words of what the author is told."""
