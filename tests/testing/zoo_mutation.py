"""Mutations that break a rule of mutation, and sound ones in plain torch."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from zoo_general import Kernel, Plain, to

from evoweights.traits import Traits
from evoweights_kernels import Chance, Gene, Normal, Scalar, Uniform, absolute, gene_kernel, minimum, where

NORMAL = Traits(
    "mutation",
    stochastic=True,
    gene_wise=True,
    translates=True,
    memory_factor=6.0,
    rate="rate",
    scale="sigma",
    law="normal",
)


@dataclass(frozen=True)
class Gaussian(Plain):
    """Sound: normal noise on some genes."""

    traits: ClassVar[Traits] = NORMAL
    sigma: float = 0.1
    rate: float = 0.5

    def noise_of(self, name, like, noise):
        return torch.randn(like.shape, generator=noise.at(name, "size").generator())

    def touched(self, name, like, noise):
        return torch.rand(like.shape, generator=noise.at(name, "place").generator()) < self.rate

    def size(self):
        return self.sigma

    def rewrite(self, target, source, noise):
        made = {}
        for name, each in target.items():
            changed = to(each, each.float() + self.size() * self.noise_of(name, each, noise))
            made[name] = torch.where(self.touched(name, each, noise), changed, each)
        return made


class AtLeastOne(Gaussian):
    """Mutates one gene at least, also at rate 0."""

    def touched(self, name, like, noise):
        mask = super().touched(name, like, noise)
        return mask | (torch.arange(like.numel()) == 0).view(like.shape)


class Resets(Gaussian):
    """Replaces touched genes instead of changing them: a sigma of 0 sets them to 0."""

    def rewrite(self, target, source, noise):
        made = {}
        for name, each in target.items():
            fresh = to(each, self.sigma * self.noise_of(name, each, noise))
            made[name] = torch.where(self.touched(name, each, noise), fresh, each)
        return made


class Rounds(Gaussian):
    """Adds a step of 0 to untouched genes by way of a large number: they lose digits."""

    def rewrite(self, target, source, noise):
        made = super().rewrite(target, source, noise)
        return {name: to(each, (each.float() + self.sigma) - self.sigma) for name, each in made.items()}


class ByTensor(Gaussian):
    """The rate decides for a whole tensor: genes are touched all or none."""

    def touched(self, name, like, noise):
        return torch.rand((), generator=noise.at(name, "place").generator()).expand(like.shape) < self.rate


class FirstRows(Gaussian):
    """Touches the first genes only, as many as the rate says (PyGAD #147: the wrong axis)."""

    def touched(self, name, like, noise):
        return (torch.arange(like.numel()) < self.rate * like.numel()).view(like.shape)


class Variance(Gaussian):
    """Takes sigma for the variance (OpenRLHF PR 1213: a factor of sigma missing)."""

    def size(self):
        return abs(self.sigma) ** 0.5


class OneSided(Gaussian):
    """Only adds."""

    def noise_of(self, name, like, noise):
        return super().noise_of(name, like, noise).abs()


class Uniformly(Gaussian):
    """Draws uniform noise of the same spread and calls it normal."""

    def noise_of(self, name, like, noise):
        return (torch.rand(like.shape, generator=noise.at(name, "size").generator()) - 0.5) * 12**0.5


class SeededAgain(Gaussian):
    """Seeds anew for every tensor: those of one shape get the same noise (verl-recipe PR 95: seeds anew)."""

    def noise_of(self, name, like, noise):
        return torch.randn(like.shape, generator=noise.generator())


class SameForEveryone(Gaussian):
    """Its seed leaves out the individual and the generation: all get one noise."""

    def noise_of(self, name, like, noise):
        return torch.randn(like.shape, generator=type(noise)(noise.seed, name).generator())


class RepeatsRows(Gaussian):
    """Draws one row of noise and repeats it: the rank of the perturbation is 1."""

    def noise_of(self, name, like, noise):
        row = like.shape[-1:]
        return torch.randn(row, generator=noise.at(name, "size").generator()).expand(like.shape)


class Bounded(Gaussian):
    """Does not go beyond a sigma of 0.2, whatever is set."""

    def size(self):
        return min(self.sigma, 0.2)


class Unsigned(Gaussian):
    """Takes the size of sigma: the antithetic partner gets the same noise, not its mirror image."""

    def size(self):
        return abs(self.sigma)


class Truncates(Gaussian):
    """Cuts bfloat16 off instead of rounding: weights shrink."""

    def rewrite(self, target, source, noise):
        made = {}
        for name, each in target.items():
            wide = each.float() + self.sigma * self.noise_of(name, each, noise)
            if each.dtype == torch.bfloat16:
                wide = (wide.view(torch.int32) & -65536).view(torch.float32)
            made[name] = torch.where(self.touched(name, each, noise), to(each, wide), each)
        return made


@gene_kernel
def swallowed(x: Gene, leader: Gene, sigma: Scalar, rate: Chance, z: Normal):
    step = sigma * z
    return where(rate & (absolute(step) > 0.0078 * absolute(x)), x + step, x)


@dataclass(frozen=True)
class Swallows(Kernel):
    """Leaves out changes that bfloat16 would not show (a mutation that vanishes as weights grow)."""

    traits: ClassVar[Traits] = NORMAL
    kernel = swallowed
    sigma: float = 0.1
    rate: float = 0.5


@gene_kernel
def stretched(x: Gene, leader: Gene, reach: Scalar, u: Uniform):
    return x + reach * (3.0 * u - 1.5)


@dataclass(frozen=True)
class Reaches(Kernel):
    """Goes half as far again as it may."""

    traits: ClassVar[Traits] = Traits("mutation", stochastic=True, gene_wise=True, reach="reach")
    kernel = stretched
    reach: float = 0.1


@gene_kernel
def capped(x: Gene, leader: Gene, sigma: Scalar, rate: Chance, z: Normal):
    return where(rate, x + minimum(sigma * z, 0.01), x)


@dataclass(frozen=True)
class CapsOneSide(Kernel):
    """Caps the change on one side, at a number of its own."""

    traits: ClassVar[Traits] = NORMAL
    kernel = capped
    sigma: float = 0.1
    rate: float = 0.5


class Grows(Gaussian):
    """Its noise grows with the gene, so that the way back is another (MeZO #42: weights not restored after +e, -e)."""

    traits: ClassVar[Traits] = replace(NORMAL, law=None)

    def noise_of(self, name, like, noise):
        return super().noise_of(name, like, noise) * (1.0 + like.float().abs())


@dataclass(frozen=True)
class LowRank(Plain):
    """Sound: noise of matrices that is a sum of products of two vectors."""

    traits: ClassVar[Traits] = Traits(
        "mutation", stochastic=True, tensor_wise=True, translates=True, scale="sigma", rank="rank", memory_factor=5.0
    )
    sigma: float = 0.1
    rank: int = 2

    def products(self):
        return self.rank

    def noise_of(self, name, like, noise):
        generator = noise.at(name).generator()
        if like.ndim != 2:
            return torch.randn(like.shape, generator=generator)
        left, right = (torch.randn(size, self.products(), generator=generator) for size in like.shape)
        return left @ right.T / self.rank**0.5

    def rewrite(self, target, source, noise):
        return {n: to(each, each.float() + self.sigma * self.noise_of(n, each, noise)) for n, each in target.items()}


class OneRankMore(LowRank):
    """Adds one product more than it is told."""

    def products(self):
        return self.rank + 1


class Unscaled(LowRank):
    """Forgets to divide by the root of the rank."""

    def noise_of(self, name, like, noise):
        return super().noise_of(name, like, noise) * self.rank**0.5


MUTATION = (
    ("M01", AtLeastOne()), ("M01", Resets()), ("M02", Rounds()), ("M03", ByTensor()), ("M03", FirstRows()),
    ("M04", Variance()), ("M04", OneSided()), ("M04", Uniformly()), ("M04-independent", SeededAgain()),
    ("M04-independent", SameForEveryone()), ("M04-independent", RepeatsRows()), ("M05", Bounded(sigma=0.1)),
    ("M06", Unsigned()), ("M06", CapsOneSide()), ("M07", Grows()), ("M08", Truncates()), ("M08", Swallows()), ("M10", Reaches()),
    ("M11", OneRankMore()), ("M11", Unscaled()),
)  # fmt: skip
"""The rule that must notice, and the operator."""

SOUND_MUTATION = (Gaussian(), LowRank())
