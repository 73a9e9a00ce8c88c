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


class DrawsByScale(Gaussian):
    """Makes the seed of its mask from all of its settings: another sigma touches other genes."""

    def touched(self, name, like, noise):
        return super().touched(f"{name} {self.sigma}", like, noise)


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


class Unlawful(Gaussian):
    """Claims a law by a name of its own."""

    traits: ClassVar[Traits] = replace(NORMAL, law="gaussian")


class HeavyTails(Gaussian):
    """Doubles the noise beyond three standard deviations: no share is off, but the fourth moment is."""

    def noise_of(self, name, like, noise):
        z = super().noise_of(name, like, noise)
        return torch.where(z.abs() > 3.0, 2.0 * z, z)


class LeavesItsRange(Gaussian):
    """Uniform noise, one number in a thousand of which is three times as large."""

    traits: ClassVar[Traits] = replace(NORMAL, law="uniform")

    def noise_of(self, name, like, noise):
        u, rare = (torch.rand(like.shape, generator=noise.at(name, each).generator()) for each in ("size", "rare"))
        return (2.0 * u - 1.0) * torch.where(rare < 1e-3, 3.0, 1.0)


class Forgets(Gaussian):
    """Draws its noise and does not add it."""

    def size(self):
        return 0.0


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


class Coarse(Gaussian):
    """Steps by whole eighths, and makes no step of what is smaller."""

    traits: ClassVar[Traits] = replace(NORMAL, law="cauchy")

    def noise_of(self, name, like, noise):
        u = torch.rand(like.shape, generator=noise.at(name, "size").generator())
        z = torch.tan(torch.pi * (u - 0.5))
        return torch.trunc(8.0 * self.sigma * z) / (8.0 * self.sigma)


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
    ("M01", AtLeastOne(), "rate 0 changes genes"),
    ("M01", Resets(), "scale 0 changes genes"),
    ("M02", Rounds(), "a rate of 0.3 changed 0.99"),
    ("M02", DrawsByScale(), "genes that a large scale leaves alone, a small one changes"),
    ("M03", ByTensor(), "a rate of 0.01 touched 0.00000 of the genes"),
    ("M03", FirstRows(), "rate 0.01: a sixteenth is off by "),
    ("M04", Variance(), "of all lie beyond 0.25, not 0.40129"),
    ("M04", OneSided(), "1.00000 of all lie beyond 0.0, not 0.50000"),
    ("M04", Uniformly(), "of all lie beyond 0.25, not 0.40129"),
    ("M04", Unlawful(), "traits.law: 'gaussian' is none of normal, uniform, cauchy"),
    ("M04", HeavyTails(), "the moments are off by ["),
    ("M04", LeavesItsRange(), "of 65536 lie beyond 1.0, where none may lie"),
    ("M04-independent", SeededAgain(), "noise that should be independent correlates by 1.000"),
    ("M04-independent", SameForEveryone(), "noise that should be independent correlates by 1.000"),
    ("M04-independent", RepeatsRows(), "noise that should be independent correlates by 1.000"),
    ("M04-independent", Forgets(), "genes of 1 get no noise"),
    ("M05", Bounded(sigma=0.1), "scale times 2 is not noise times that"),
    ("M06", Unsigned(), "scale times -1 is not noise times that"),
    ("M06", CapsOneSide(), "scale times -1 is not noise times that"),
    ("M07", Grows(), "back and forth leads "),
    ("M08", Truncates(), "the mean of the noise is -0.0"),
    ("M08", Swallows(), "noise of 0.004 is realised as "),
    ("M08", Coarse(), "most of the noise is lost to rounding"),
    ("M10", Reaches(), "a gene changed by 0.15, at most 0.1 is set"),
    ("M11", OneRankMore(), "the noise has more than rank 1"),
    ("M11", Unscaled(), "the standard deviation of the noise is 1."),
)
"""The rule that must notice, the operator, and words of what the author is told."""

SOUND_MUTATION = (Gaussian(), LowRank())
