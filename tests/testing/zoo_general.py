"""Operators that break a general rule, each modelled on a bug that was published, or on one that is easy to write."""

import collections
import itertools
import os
import random
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch

from evoweights.operators import GeneOperator, TensorOperator
from evoweights.population import Slot
from evoweights.traits import Traits
from evoweights_kernels import Gene, Scalar, State, TileScalar, Uniform, gene_kernel
from evoweights_kernels.constants import TILE

DETERMINISTIC = Traits(stochastic=False)
STOCHASTIC = Traits(stochastic=True)


@dataclass(frozen=True)
class Plain(TensorOperator):
    """An operator in plain torch, to be broken."""

    name: ClassVar[str] = "broken"
    source: ClassVar[str] = "a test"


@gene_kernel
def pulled(x: Gene, leader: Gene, pull: Scalar):
    return x + pull * (leader - x)


@dataclass(frozen=True)
class Kernel(GeneOperator):
    """An operator with a kernel, to be broken."""

    name: ClassVar[str] = "broken"
    source: ClassVar[str] = "a test"
    kernel = pulled

    pull: float = 0.25


def normal(noise, name, like):
    return torch.randn(like.shape, generator=noise.at(name).generator())


def to(like, tensor):
    return tensor.to(like.dtype)


class Widens(Plain):
    """Gives float64 for float32, as a numpy mean does: the type of the weights drifts."""

    def rewrite(self, target, source, noise):
        return {name: each.double() for name, each in target.items()}


class Flattens(Plain):
    """Gives flat vectors back, and broadcasting does the rest (PyGAD #147: the wrong axis)."""

    def rewrite(self, target, source, noise):
        return {name: each.flatten() for name, each in target.items()}


class MovesAll(Kernel):
    """Puts its results into a new table, so that what others hold of the old one is no longer the population."""

    def tile_scalars(self, layout, target):
        target._base.data = target._base.clone()
        return {}


class WritesItsParent(Plain):
    """Changes the parent in place (GeneticEngine #94, py-ga-VRPTW #13: parents change)."""

    def rewrite(self, target, source, noise):
        for each in source.values():
            each.mul_(0.5)
        return {name: each.clone() for name, each in target.items()}


class WritesBeside(Kernel):
    """Changes the parent by way of the table that all individuals are rows of (PyGAD #25: an aliased array)."""

    def tile_scalars(self, layout, target):
        target._base[0].mul_(0.5)
        return {}


@dataclass(frozen=True)
class RemembersInItself(Kernel):
    """Keeps a list of what it did in its own setting, which every individual then shares."""

    history: list = field(default_factory=list, compare=False)

    def tile_scalars(self, layout, target):
        self.history.append(layout.size)
        return {}


class CountsItsUses(Kernel):
    """Its coefficient depends on how often it was used: a resumed run is another run (pymoo #558: resumed results differ)."""

    uses: ClassVar = itertools.count(1)

    def scalars(self):
        # Steps of the golden ratio: however often it was used before, no two of the next uses are alike.
        return {"pull": 0.1 + 0.8 * (next(self.uses) * 0.6180339887 % 1)}


class FixedSeed(Plain):
    """Seeds its generator with a constant: every seed of the run gives the same noise (nevergrad #181: seeds)."""

    traits = STOCHASTIC

    def rewrite(self, target, source, noise):
        generator = torch.Generator().manual_seed(0)
        return {name: to(each, each + torch.randn(each.shape, generator=generator)) for name, each in target.items()}


class SaysItIsSure(Plain):
    """Claims to be deterministic and draws."""

    traits = DETERMINISTIC

    def rewrite(self, target, source, noise):
        return {name: to(each, each + normal(noise, name, each)) for name, each in target.items()}


@gene_kernel
def spread(x: Gene, leader: Gene, pull: Scalar, u: Uniform):
    return x + pull * u * (leader - x)


class SaysItsKernelIsSure(Kernel):
    """Claims to be deterministic, with a kernel that draws."""

    traits = DETERMINISTIC
    kernel = spread


class DrawsGlobally(Plain):
    """Draws from torch's global generator (nevergrad #4, optuna #4412: not reproducible from a seed)."""

    traits = STOCHASTIC

    def rewrite(self, target, source, noise):
        return {name: to(each, each + torch.randn(each.shape)) for name, each in target.items()}


class SeedsNumpy(Plain):
    """Seeds numpy's global generator, and with it everybody else's numbers (optuna PR 253: seeds)."""

    def rewrite(self, target, source, noise):
        np.random.seed(7)
        return {name: to(each, each + float(np.random.rand())) for name, each in target.items()}


class ShufflesGlobally(Plain):
    """Draws from Python's global generator (nevergrad #189: not reproducible from a seed)."""

    def rewrite(self, target, source, noise):
        random.random()
        return target


class ChangesFolder(Kernel):
    """Changes the working folder (hydra #990, hydra #2414: the folder changes); here between two folders."""

    def tile_scalars(self, layout, target):
        os.chdir("/" if os.getcwd() != "/" else os.path.expanduser("~"))
        return {}


class SetsDefaultType(Plain):
    """Leaves torch with another default type, here every other time."""

    def rewrite(self, target, source, noise):
        other = torch.float64 if torch.get_default_dtype() == torch.float32 else torch.float32
        torch.set_default_dtype(other)
        return target


class OneGenerator(Plain):
    """One generator for all tensors: what a tensor gets depends on those before it (es-at-scale's sequential draws)."""

    traits = Traits(stochastic=True, tensor_wise=True)

    def rewrite(self, target, source, noise):
        generator = noise.generator()
        return {name: to(each, each + torch.randn(each.shape, generator=generator)) for name, each in target.items()}


class GlobalNorm(Plain):
    """Claims to treat every tensor alone and divides by the norm of all of them."""

    traits = Traits(stochastic=False, tensor_wise=True)

    def rewrite(self, target, source, noise):
        norm = torch.sqrt(sum((each.float().square().sum() for each in target.values()), torch.tensor(1.0)))
        return {name: to(each, each / norm) for name, each in target.items()}


class Accumulates(Plain):
    """A sum that runs through the tensors in their order."""

    traits = DETERMINISTIC

    def rewrite(self, target, source, noise):
        return {name: to(each, each * number) for number, (name, each) in enumerate(target.items())}


class ReadsNames(Plain):
    """What it does depends on what a tensor is called."""

    traits = DETERMINISTIC

    def rewrite(self, target, source, noise):
        return {name: to(each, each + len(name) % 7) for name, each in target.items()}


class NeedsAGene(Plain):
    """Takes the largest gene of a tensor, which an empty one does not have."""

    def rewrite(self, target, source, noise):
        return {name: to(each, each - each.max() * 1e-3) for name, each in target.items()}


class Standardises(Kernel):
    """Divides by the standard deviation with n - 1 in it, which a single number does not have: 0 / 0."""

    def tile_scalars(self, layout, target):
        for each in layout.scope("all"):
            genes = each.view(target)
            away = genes.float() - genes.float().mean()
            genes.div_(1.0 + (away.square().sum() / (genes.numel() - 1)).to(genes.dtype))
        return {}


class NeedsARow(Plain):
    """Takes the first dimension, which a single number does not have."""

    def rewrite(self, target, source, noise):
        return {name: each[torch.arange(each.shape[0])] for name, each in target.items()}


@gene_kernel
def overflowing(x: Gene, leader: Gene):
    return x + (leader * 1e30 - x * 1e30) * 1e-30


class Overflows(Kernel):
    """Infinity minus infinity from large genes (pycma #163: NaN in the population)."""

    kernel = overflowing


@gene_kernel
def exploded(x: Gene, leader: Gene):
    return x + leader * 1e30 * 1e30


class Explodes(Kernel):
    """Grows genes until float32 cannot hold them."""

    kernel = exploded


@gene_kernel
def divided(x: Gene, leader: Gene):
    return x * (leader / x)


class Divides(Kernel):
    """Divides by a gene that may be 0 (cmaes PR 34: NaN)."""

    kernel = divided


class Centres(Kernel):
    """Centres a tensor that has lost a gene to NaN, and loses all of it (evosax #55: NaN)."""

    def tile_scalars(self, layout, target):
        target.sub_(target.mean())
        return {}


@gene_kernel
def centred(x: Gene, leader: Gene, mean: TileScalar):
    return x - mean


class CentresByKernel(Kernel):
    """Subtracts in its kernel a mean that a single NaN has taken with it (evosax #55: NaN)."""

    kernel = centred

    def tile_scalars(self, layout, target):
        return {"mean": target.float().mean().expand(layout.size // TILE).contiguous()}


@gene_kernel
def outdone(x: Gene, leader: Gene, best: State):
    return x, best + 1.0


class WritesItsBest(Kernel):
    """Declares its own best as a state, and writes what the run keeps for it."""

    kernel = outdone

    @property
    def slots(self):
        return (Slot("broken.best", "personal_best"),)


class WritesFrozen(Kernel):
    """Writes tensors that are frozen or out of scope."""

    def tile_scalars(self, layout, target):
        target[layout.segments[-1].start :] = 1.0
        return {}


class WritesPadding(Kernel):
    """Writes beyond the end of a tensor."""

    def tile_scalars(self, layout, target):
        target[1000:1024] += 1.0
        return {}


@gene_kernel
def cancelling(x: Gene, leader: Gene):
    return (x + 1e6) - 1e6


class Cancels(Kernel):
    """Loses the digits of a gene beside a large number (MeZO #42: weights not restored after +e, -e)."""

    kernel = cancelling


USES = itertools.count(1)


@gene_kernel
def counted(x: Gene, leader: Gene):
    return x + float(next(USES) % 1000)  # small beside no gene for long


class TracedOnce(Kernel):
    """Its body does something else every time it is called, and a compiler calls it once."""

    kernel = counted


class LooksAtAMean(Plain):
    """Decides by a number of the weights: on an accelerator it waits for all the work before it."""

    def rewrite(self, target, source, noise):
        return {name: each * 0.5 if each.numel() and each.mean().item() > 0 else each for name, each in target.items()}


class FetchesWeights(Kernel):
    """Counts its weights in numpy, on the host: on an accelerator all of them travel."""

    def tile_scalars(self, layout, target):
        np.count_nonzero(target.float().numpy())
        return {}


class ChoosesByCondition(Plain):
    """The shape of a result on the way depends on the weights."""

    def rewrite(self, target, source, noise):
        return {name: to(each, each - each[each > 0].numel()) for name, each in target.items()}


@dataclass(frozen=True)
class Twice(Kernel):
    """Its setting changes when it is made from what it says it is (cmaes: what is put back is another)."""

    def __post_init__(self):
        object.__setattr__(self, "pull", self.pull / 2)


@dataclass(frozen=True)
class Tuples(Kernel):
    """A setting that JSON gives back as another type: no configuration can hold it."""

    steps: tuple = (1, 2)


@dataclass(frozen=True)
class WrongName(Kernel):
    """Its traits name a setting that it does not have."""

    traits = Traits("crossover", stochastic=False, share="weight")


class Nameless(Kernel):
    """Cannot be registered: nobody says where it is from."""

    source = ""


class LooksAround(Kernel):
    """Lets other individuals decide."""

    def tile_scalars(self, layout, target):
        target.add_(target._base[-1].clamp(-1, 1))
        return {}


class ReadsItsPlace(Kernel):
    """Lets the row decide that an individual lies in."""

    def tile_scalars(self, layout, target):
        target.add_(float(target.storage_offset() // layout.size % 3))
        return {}


class Measures(Kernel):
    """Computes on a copy of the whole genome before it is launched (pycma #272, evojax #55: out of memory)."""

    def tile_scalars(self, layout, target):
        (target * 1.0).abs().mean()
        return {}


class Stacks(Plain):
    """Says that it makes one genome and makes four (mergekit #341: out of memory)."""

    traits = Traits(stochastic=False, memory_factor=1.0)

    def rewrite(self, target, source, noise):
        stacks = {name: torch.stack([each, source[name], each]) for name, each in target.items()}
        return {name: each.float().mean(0).to(each.dtype) for name, each in stacks.items()}


class Hoards(Plain):
    """Keeps what it made, for a history that nobody reads."""

    traits = Traits(stochastic=False, memory_factor=1.0)
    history: ClassVar = collections.deque(maxlen=2000)

    def rewrite(self, target, source, noise):
        made = {name: each * 0.5 for name, each in target.items()}
        self.history.append(made)
        return made


class HoardsArrays(Plain):
    """Keeps numpy copies of its parents, which torch knows nothing of."""

    traits = Traits(stochastic=False, memory_factor=3.0)
    history: ClassVar = collections.deque(maxlen=2000)

    def rewrite(self, target, source, noise):
        self.history.append([each.float().numpy() + 1.0 for each in source.values()])
        return {name: each * 0.5 for name, each in target.items()}


class ScalesAll(Kernel):
    """Scales every tensor of the individual, whatever its scope says."""

    def tile_scalars(self, layout, target):
        for each in layout.scope("all"):
            each.view(target).mul_(0.5)
        return {}


GENERAL = (
    ("G01", Widens(), "gave 'matrix.0' as torch.float64"),
    ("G01", Flattens(), "as torch.float32 (63,), expected torch.float32 (63, 1)"),
    ("G01", MovesAll(), "the weights moved in memory"),
    ("G02", WritesItsParent(), "changed 'matrix.0' in place and did not return it"),
    ("G02", WritesBeside(), "the source changed: weights: gene 0 of matrix.0"),
    ("G02", RemembersInItself(), "the operator itself, the scene or the layout changed: operator: "),
    ("G04", CountsItsUses(), "the second time made something else: individual 1"),
    ("G04", DrawsGlobally(), "the second time made something else: individual 1"),
    ("G05", FixedSeed(), "two seeds make the same"),
    ("G05", SaysItIsSure(), "two seeds make something else"),
    ("G05", SaysItsKernelIsSure(), "claims stochastic=False; its kernel draws otherwise"),
    ("G06", SeedsNumpy(), "not left as it was: numpy's generator"),
    ("G06", ShufflesGlobally(), "not left as it was: Python's generator"),
    ("G06", ChangesFolder(), "not left as it was: the working directory"),
    ("G06", SetsDefaultType(), "not left as it was: torch's default dtype"),
    ("G07", OneGenerator(), "alone it does something else: embedding"),
    ("G07", GlobalNorm(), "with matrix.0 alone it does something else"),
    ("G09", Accumulates(), "in another order a tensor becomes something else"),
    ("G10", ReadsNames(), "with another name a tensor becomes something else"),
    ("G12", NeedsAGene(), "raised RuntimeError: max()"),
    ("G12", NeedsARow(), "raised IndexError: tuple index out of range"),
    ("G12", Standardises(), "NaN or infinity from ordinary genes"),
    ("G14", Overflows(), "NaN from finite genes"),
    ("G14", Divides(), "NaN from finite genes"),
    ("G14", Explodes(), "infinity from moderate genes"),
    ("G15", Centres(), "a NaN changed other genes"),
    ("G15", CentresByKernel(), "a NaN spread to other genes"),
    ("G16", WritesFrozen(), "weights changed outside the tensors in scope: gene 0 of frozen"),
    ("G16", WritesPadding(), "weights changed outside the tensors in scope: element 1000, which is padding"),
    ("G16", WritesItsBest(), "broken.best, which is not the operator's to write, changed"),
    ("G17", Cancels(), "x is off the exact result by "),
    ("G18", TracedOnce(), "cpu makes other bits than the reference"),
    ("G19", LooksAtAMean(), "aten::_local_scalar_dense waits for the device"),
    ("G19", ChoosesByCondition(), "aten::index.Tensor by a condition waits for the device"),
    ("G19", FetchesWeights(), "numpy() waits for the device"),
    ("G20", Measures(), "genomes at its peak, 0 are claimed"),
    ("G20", Stacks(), "genomes at its peak, 1 are claimed"),
    ("G20-growth", Hoards(), "12 calls leave 12."),
    ("G20-growth", HoardsArrays(), "genomes behind"),
    ("G21", Twice(), "settings change on their way through JSON: Twice("),
    ("G21", Tuples(), "settings change on their way through JSON: Tuples("),
    ("G21", CountsItsUses(), "what was saved is not all that the next result depends on"),
    ("G22", WrongName(), "traits.share names 'weight', which is no setting"),
    ("G22", Nameless(), "needs a class attribute `source`"),
    ("G22", Twice(), "two with the same settings differ"),
    ("G23", CountsItsUses(), "beside another thread it does something else"),
    ("G24", CountsItsUses(), "with an operator that changes nothing before it, it does something else"),
    ("G25", LooksAround(), "others in the population decide"),
    ("G25", ReadsItsPlace(), "the row decides"),
    ("X10", ScalesAll(), "with matrix.0 in scope, weights of matrix.2 changed"),
)
"""The rule that must notice, the operator, and words of what the author is told."""
