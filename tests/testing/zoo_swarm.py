"""Particle swarms that break a rule of swarms, and a sound one in plain torch."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from zoo_general import Kernel, Plain, to

from evoweights.population import Slot
from evoweights.traits import Traits
from evoweights_kernels import Gene, Normal, Scalar, State, Uniform, absolute, gene_kernel, maximum, minimum, where

FLYING = Traits(
    "swarm",
    stochastic=True,
    gene_wise=True,
    idempotent=True,
    homogeneous=True,
    translates=True,
    inertia="inertia",
    own_pull="own",
    leader_pull="lead",
    limit="limit",
)
WALKING = Traits("swarm", stochastic=True, gene_wise=True, idempotent=True, homogeneous=True, leader_pull="lead")


def way(difference):
    """Between extreme genes it overflows, and 0 times infinity is NaN."""
    return maximum(minimum(difference, 1e30), -1e30)


@gene_kernel
def flown(
    x: Gene, best: Gene, leader: Gene, velocity: State, inertia: Scalar, own: Scalar, lead: Scalar, limit: Scalar,
    r1: Uniform, r2: Uniform,
):  # fmt: skip
    v = inertia * velocity + own * r1 * way(best - x) + lead * r2 * way(leader - x)
    v = maximum(minimum(v, limit), -limit)
    return where(v != 0.0, x + v, x), v


@dataclass(frozen=True)
class Flies(Kernel):
    """Sound: velocity, own best and leader."""

    name: ClassVar[str] = "flies"
    traits: ClassVar[Traits] = FLYING
    kernel = flown

    inertia: float = 0.7
    own: float = 1.4
    lead: float = 1.4
    limit: float = 1e30

    @property
    def slots(self):
        return (Slot("flies.velocity", "state"), Slot("flies.best", "personal_best"))


def flying(*, v=None, r2=None, velocity_kept=None, moved=None, left=None):
    """A kernel like ``flown`` with one of its lines written otherwise."""

    def body(
        x: Gene, best: Gene, leader: Gene, velocity: State, inertia: Scalar, own: Scalar, lead: Scalar, limit: Scalar,
        r1: Uniform, r2_: Uniform,
    ):  # fmt: skip
        second = r2_ if r2 is None else r2(r1, r2_)
        made = (v or _usual)(x, best, leader, velocity, inertia, own, lead, r1, second)
        kept = (velocity_kept or _within)(made, limit)
        return (moved or _moved)(x, kept, made), kept if left is None else left(kept, velocity)

    return gene_kernel(body)


def _usual(x, best, leader, velocity, inertia, own, lead, r1, r2):
    return inertia * velocity + own * r1 * way(best - x) + lead * r2 * way(leader - x)


def _within(v, limit):
    return maximum(minimum(v, limit), -limit)


def _moved(x, kept, made):
    return where(kept != 0.0, x + kept, x)


def like(note, **lines):
    """A swarm that is sound but for one line."""
    return type(
        "".join(each.title() for each in note.split()), (Flies,), {"__doc__": note, "kernel": flying(**lines)}
    )()


DRAGGED = like(
    "keeps a tenth of its velocity without inertia",
    v=lambda x, b, g, v, w, c1, c2, r1, r2: (w + 0.1) * v + c1 * r1 * (b - x) + c2 * r2 * (g - x),
)
ORIGIN = like(
    "draws apart for the leader and for itself so that it is pulled to zero",
    v=lambda x, b, g, v, w, c1, c2, r1, r2: w * v + c1 * r1 * (b - x) + c2 * (r2 * g - r1 * x),
)
DAMPED = like("loses a hundredth of its velocity", velocity_kept=lambda v, limit: _within(v, limit) * 0.99)
ONE_SIDED = like("limits its velocity upwards only", velocity_kept=lambda v, limit: minimum(v, limit))
SQUASHED = like("squashes its velocity", velocity_kept=lambda v, limit: _within(v / (1.0 + absolute(v)), limit))
FLOORED = like(
    "has a smallest velocity",
    velocity_kept=lambda v, limit: _within(maximum(absolute(v), 1e-3) * (v / maximum(absolute(v), 1e-9)), limit),
)
LINGERS = like("keeps its old velocity while it rests", left=lambda kept, velocity: where(kept == 0.0, velocity, kept))
HALF_WAY = like(
    "goes half as far as its velocity says", moved=lambda x, kept, made: where(kept != 0.0, x + 0.5 * kept, x)
)
UNLIMITED = like(
    "limits the velocity that it keeps and not the one that it flies with",
    moved=lambda x, kept, made: where(made != 0.0, x + made, x),
)
DRIFTS = like(
    "drifts by a millionth in every move",
    v=lambda x, b, g, v, w, c1, c2, r1, r2: _usual(x, b, g, v, w, c1, c2, r1, r2) + 1e-6,
)
SLOW = like("never flies faster than 1", velocity_kept=lambda v, limit: _within(maximum(minimum(v, 1.0), -1.0), limit))
SHY = like("draws the square of a number for the pull of its leader", r2=lambda r1, r2: r2 * r2)
SAME_DRAW = like("uses one draw for both pulls", r2=lambda r1, r2: r1)
DOUBLE = like(
    "pulls twice as hard as it is told",
    v=lambda x, b, g, v, w, c1, c2, r1, r2: w * v + c1 * r1 * (b - x) + 2.0 * c2 * r2 * (g - x),
)
RESTLESS = like(
    "never comes to rest", velocity_kept=lambda v, limit: where(absolute(v) < 0.1, _within(v + 0.5, limit), v)
)
AWAY = like(
    "flies away from its leader", v=lambda x, b, g, v, w, c1, c2, r1, r2: w * v + c1 * r1 * (b - x) + c2 * r2 * (x - g)
)


@gene_kernel
def walked(x: Gene, leader: Gene, lead: Scalar, r: Uniform):
    return x + 2.0 * lead * (r - 0.25) * (leader - x)


@gene_kernel
def by_normal(x: Gene, leader: Gene, lead: Scalar, z: Normal):
    return x + lead * (0.5 + z) * (leader - x)


@dataclass(frozen=True)
class Overshoots(Kernel):
    """Draws its pull from -1/2 to 3/2: the mean is right, the way is not (koifish clips it)."""

    traits: ClassVar[Traits] = WALKING
    kernel = walked
    lead: float = 1.0


@dataclass(frozen=True)
class WithoutVelocity(Overshoots):
    """Has an inertia, and no velocity that it could hold for."""

    traits: ClassVar[Traits] = Traits("swarm", stochastic=True, inertia="inertia", leader_pull="lead")
    inertia: float = 0.7


class Unbounded(Overshoots):
    """Draws its pull from a normal that is not cut off."""

    kernel = by_normal


@dataclass(frozen=True)
class OneNumber(Plain):
    """One random number for all genes, as in many textbook programs: the swarm moves along a line."""

    traits: ClassVar[Traits] = Traits("swarm", stochastic=True, tensor_wise=True, idempotent=True, leader_pull="lead")
    lead: float = 1.0

    def rewrite(self, target, source, noise):
        r = float(torch.rand((), generator=noise.generator()))
        return {name: to(each, each + self.lead * r * (source[name] - each)) for name, each in target.items()}


@dataclass(frozen=True)
class PairsOfGenes(OneNumber):
    """Uses every random number for two genes (a stride that is off by a factor)."""

    def rewrite(self, target, source, noise):
        made = {}
        for name, each in target.items():
            drawn = torch.rand((each.numel() + 1) // 2, generator=noise.at(name).generator())
            r = drawn.repeat_interleave(2)[: each.numel()].view(each.shape)
            made[name] = to(each, each + self.lead * r * (source[name] - each))
        return made


@dataclass(frozen=True)
class SameForAll(Plain):
    """Draws from the run's seed alone: every individual and every generation gets the same."""

    traits: ClassVar[Traits] = Traits("swarm", stochastic=True, tensor_wise=True, idempotent=True, leader_pull="lead")
    lead: float = 1.0

    def rewrite(self, target, source, noise):
        made = {}
        for name, each in target.items():
            r = torch.rand(each.shape, generator=torch.Generator().manual_seed(noise.seed % 2**32))
            made[name] = to(each, each + self.lead * r * (source[name] - each))
        return made


@dataclass(frozen=True)
class MeanLeader(Plain):
    """Is pulled towards the mean of the individual's tensor as well."""

    traits: ClassVar[Traits] = Traits("swarm", stochastic=False, gene_wise=True, leader_pull="lead")
    lead: float = 1.0

    def rewrite(self, target, source, noise):
        return {n: to(t, t + 0.5 * (source[n] - t) + 0.1 * t.sum() / max(1, t.numel())) for n, t in target.items()}


SWARM = (
    ("P01", DRAGGED, "genes move that nothing pulls"),
    ("P01", LINGERS, "a velocity stays without inertia and pulls"),
    ("P02", ORIGIN, "equal parents have another child"),
    ("P03", DAMPED, "without pulls the velocity changes"),
    ("P03", HALF_WAY, "the step is not the velocity"),
    (
        "P03",
        WithoutVelocity(),
        "no velocity is kept: a slot of the role state is looked for whose name ends in velocity",
    ),
    ("P04", ONE_SIDED, "a velocity is beyond the limit of 0"),
    ("P04", UNLIMITED, "a limit of 0 lets genes move"),
    ("P05", SQUASHED, "the causes do not add up"),
    ("P05", DRIFTS, "twice the velocity is not kept twice"),
    ("P06", FLOORED, "parents times 0.25 give another child in matrix.0"),
    ("P06-shift", ORIGIN, "genes moved by 64 give a child that is off by "),
    ("P07", MeanLeader(), "gene 0 changed genes [0, 1, 2, 3, 4]"),
    ("P08", SAME_DRAW, "both pulls use one draw"),
    ("P08", SHY, "the mean pull is 0.33"),
    ("P08", Unbounded(), "a pull is beyond 0 to 1"),
    ("P08", OneNumber(), "all genes are pulled alike"),
    ("P08", PairsOfGenes(), "the pulls of genes 1 apart have to do with one another"),
    ("P08", SameForAll(), "two individuals or generations draw the same"),
    ("P09", DOUBLE, "the mean gene is 0.1"),
    ("P09", AWAY, "the mean gene is 3.7"),
    ("P11", RESTLESS, "after 80 moves it is still 0."),
    ("P11", SLOW, "of a target that it should leave"),
    ("P12", Overshoots(), "a gene lands off its way"),
)
"""The rule that must notice, the operator, and words of what the author is told."""

SOUND_SWARM = (Flies(),)
