"""Improvers that break a rule of theirs, modelled on bugs that were published; ``Descends`` is sound."""

import itertools
import math
from dataclasses import dataclass, field
from typing import ClassVar

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


class TooLate(Descends):
    """Looks at the loss after it has changed the weights."""

    def step(self, mounted, feed, moment):
        for part in mounted.parts:
            part.weights.mul_(0.999)
        return super().step(mounted, feed, moment)


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


IMPROVERS = (
    ("G04", Global()), ("G06", Spills()), ("G16", Everything()), ("G16", Thaws()), ("G18", ByTarget()),
    ("G21", InItself()), ("G22", Unregistered()), ("G23", Counting()), ("A06", Swallows()), ("A06", TooLate()),
    ("A09", Undeclared()), ("A10", Replays()),
)  # fmt: skip
"""The rule that must notice, and the improver."""
