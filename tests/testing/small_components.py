"""Small components for tests of the kit: an operator in plain torch, an improver with state of every kind, a shared layer."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from evoweights import Blueprint, Slot, TensorOperator, setting
from evoweights_classic.individuals import Individuals


@dataclass(frozen=True)
class Blend(TensorOperator):
    """Moves every tensor part of the way to the source's, and a little at random."""

    name: ClassVar[str] = "blend"
    source: ClassVar[str] = "a test"

    share: float = setting(0.5, "of the way", minimum=0.0, maximum=1.0)

    def rewrite(self, target, source, noise):
        """The mean, weighted, with noise by name."""
        made = {}
        for name, tensor in target.items():
            drawn = torch.randn(tensor.shape, generator=noise.at(name).generator())
            made[name] = torch.lerp(tensor, source[name], self.share) + 1e-3 * drawn
        return made


@dataclass(frozen=True)
class Wander:
    """Steps of a random length against the sign of the gradient; keeps a slot, a counter and memory."""

    name: ClassVar[str] = "wander"
    source: ClassVar[str] = "a test"

    steps: int = setting(2, "steps in a turn", minimum=0)
    length: float = setting(1e-3, "longest step", minimum=0.0)

    @property
    def slots(self):
        """How far each gene has gone."""
        return (Slot("wander.way"),)

    def step(self, mounted, feed, moment):
        """One step; the individual's memory counts its own, and a counter those of the shared part."""
        from evoweights.improvers import NonFiniteStep

        for part in mounted.parts:
            part.gradient.zero_()
        loss = float(feed.add_gradient_(mounted))
        if not torch.isfinite(torch.tensor(loss)):
            raise NonFiniteStep(f"the loss is {loss}")
        drawn = float(torch.rand((), generator=moment.noise.at("length").generator()))
        for part in mounted.parts:
            moved = drawn * self.length * part.gradient.sign()
            part.weights.sub_(moved)
            part.slots["wander.way"].add_(moved.abs())
            part.counters["wander.steps"] = part.counters.get("wander.steps", 0) + 1
        mounted.memory = {"wander.steps": mounted.memory.get("wander.steps", torch.zeros(1)) + 1}
        return loss


@dataclass(frozen=True)
class SharedFirst(Individuals):
    """Individuals that share the first layer."""

    name: ClassVar[str] = "shared_first"

    def blueprint(self, task, noise):
        """The same models, with the first layer shared."""
        each = super().blueprint(task, noise)
        shared = lambda name: name.startswith("0.")  # noqa: E731
        return Blueprint(each.module, each.size, initialise=each.initialise, is_shared=shared, home=each.home)
