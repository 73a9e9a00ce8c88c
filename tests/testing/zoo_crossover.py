"""Crossovers that break a rule of crossover, and two sound ones in plain torch that keep them all."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from zoo_general import Kernel, Plain, normal, to

from evoweights.operators import Pair
from evoweights.traits import Traits
from evoweights_kernels import Chance, Gene, Scalar, Uniform, absolute, gene_kernel, maximum, minimum, sqrt, where

TAKES = Traits(
    "crossover", stochastic=True, gene_wise=True, idempotent=True, copies=True, complementary=True, share="rate"
)
BLENDS = Traits("crossover", stochastic=False, gene_wise=True, idempotent=True, convex=True, share="weight")


@dataclass(frozen=True)
class Takes(Plain):
    """Takes genes of the source where ``mask`` says so."""

    traits: ClassVar[Traits] = TAKES
    rate: float = 0.5

    def mask(self, name, like, noise):
        return torch.rand(like.shape, generator=noise.at(name).generator()) < self.rate

    def rewrite(self, target, source, noise):
        return {n: torch.where(self.mask(n, each, noise), source[n], each) for n, each in target.items()}


@dataclass(frozen=True)
class TakesRows(Takes):
    """Sound: whole rows."""

    traits: ClassVar[Traits] = Traits(
        "crossover", stochastic=True, tensor_wise=True, idempotent=True, copies=True, complementary=True, share="rate"
    )

    def mask(self, name, like, noise):
        rows = like.shape[:1]
        mask = torch.rand(rows, generator=noise.at(name).generator()) < self.rate
        return mask.view([*rows, *(1 for _ in like.shape[1:])])


class RowsAsGenes(TakesRows):
    """Takes whole rows and claims to take gene by gene: the mean share is right (EOE's p is per element)."""

    traits = TAKES


class RowsTwice(TakesRows):
    """Draws twice for a row, and takes it where both say so."""

    def mask(self, name, like, noise):
        return super().mask(name, like, noise) & super().mask(f"{name} again", like, noise)


class Shifted(Takes):
    """Takes the source's gene from the place beside (PyGAD #147: the wrong axis)."""

    def rewrite(self, target, source, noise):
        beside = {name: each.roll(1) for name, each in source.items()}
        return super().rewrite(target, beside, noise)


class Multiplies(Takes):
    """Multiplies by the mask instead of choosing: -0 becomes 0, and NaN times 0 is NaN."""

    def rewrite(self, target, source, noise):
        made = {}
        for name, each in target.items():
            mask = self.mask(name, each, noise).to(each.dtype)
            made[name] = each * (1 - mask) + source[name] * mask
        return made


@gene_kernel
def multiplied(x: Gene, leader: Gene, rate: Chance):
    mask = where(rate, 1.0, 0.0)
    return x * (1.0 - mask) + leader * mask


@dataclass(frozen=True)
class MultipliesInAKernel(Kernel):
    """The same as a kernel."""

    traits: ClassVar[Traits] = TAKES
    kernel = multiplied
    rate: float = 0.5


class ChildOfOne(Takes):
    """Both children are made from the first parent (Black-Box-Sparse #4: child 2 is copied from parent 1)."""

    def rewrite(self, target, source, noise):
        return {name: each.clone() for name, each in target.items()}


class Inverted(Takes):
    """The rate is that of keeping, not of taking."""

    def mask(self, name, like, noise):
        return ~super().mask(name, like, noise)


class Squared(Takes):
    """Draws twice, and takes where both say so: the share is the square of the rate."""

    def mask(self, name, like, noise):
        return super().mask(name, like, noise) & super().mask(f"{name} again", like, noise)


class Tiled(Takes):
    """Repeats one mask of 64 genes over the tensor."""

    def mask(self, name, like, noise):
        few = torch.rand(64, generator=noise.at(name).generator()) < self.rate
        return few.repeat(-(-like.numel() // 64))[: like.numel()].view(like.shape)


class PairsOfBlocks(Takes):
    """Uses the draws of every block of 1,024 genes for the next one as well."""

    def mask(self, name, like, noise):
        count = like.numel()
        drawn = torch.rand(-(-count // 2048), 1, 1024, generator=noise.at(name, "block").generator()) < self.rate
        return drawn.expand(-1, 2, -1).reshape(-1)[:count].view(like.shape)


class FirstHalf(Takes):
    """Takes everything from the first genes and nothing from the others (plain slices instead of draws)."""

    def mask(self, name, like, noise):
        return (torch.arange(like.numel()) < self.rate * like.numel()).view(like.shape)


class Largest(Takes):
    """Takes the larger of the two genes, so that exchanging the parents changes nothing."""

    traits = Traits("crossover", stochastic=False, gene_wise=True, idempotent=True, copies=True, complementary=True)

    def rewrite(self, target, source, noise):
        return {name: torch.maximum(each, source[name]) for name, each in target.items()}


@dataclass(frozen=True)
class Blend(Plain):
    """Sound: torch's lerp."""

    traits: ClassVar[Traits] = BLENDS
    weight: float = 0.5

    def blend(self, x, other):
        return torch.lerp(x.float(), other.float(), self.weight)

    def rewrite(self, target, source, noise):
        return {name: to(each, self.blend(each, source[name])) for name, each in target.items()}


class WeightedSum(Blend):
    """(1 - w) x + w other: equal parents have another child for one gene in twenty."""

    def blend(self, x, other):
        return (1 - self.weight) * x + self.weight * other


class Step(Blend):
    """x + w (other - x): misses the end where the other parent lies for a third of the genes."""

    def blend(self, x, other):
        return x.float() + self.weight * (other.float() - x.float())


class Swells(Blend):
    """Goes a little beyond the larger of both genes (extrapolation that is called interpolation)."""

    def blend(self, x, other):
        return torch.maximum(x.float(), other.float()) + 0.01 * (x.float() - other.float()).abs()


class Narrow(Blend):
    """The weighted sum in bfloat16: leaves the hull of its parents."""

    def blend(self, x, other):
        w = torch.tensor(self.weight, dtype=torch.bfloat16)
        return (1 - w) * x.bfloat16() + w * other.bfloat16() if x.dtype == torch.bfloat16 else super().blend(x, other)


@gene_kernel
def widened(x: Gene, leader: Gene, weight: Scalar, u: Uniform):
    return x + (1.5 * u - 0.25) * (leader - x)


@dataclass(frozen=True)
class Widened(Kernel):
    """BLX-alpha, which goes beyond the parents, claiming to stay between them."""

    traits: ClassVar[Traits] = Traits("crossover", stochastic=True, gene_wise=True, idempotent=True, convex=True)
    kernel = widened
    weight: float = 0.5


class BackAndForth(Blend):
    """The weight is taken from the middle: a larger one leads back (evosax #72: min and max confused)."""

    def blend(self, x, other):
        return torch.lerp(x.float(), other.float(), abs(2 * self.weight - 1))


@gene_kernel
def clipped(x: Gene, leader: Gene, weight: Scalar):
    low, high = minimum(x, leader), maximum(x, leader)
    return minimum(maximum(minimum(maximum(x + weight * (leader - x), -1.0), 1.0), low), high)


@dataclass(frozen=True)
class Clipped(Kernel):
    """Clips to an interval that only weights of a certain size lie in."""

    traits: ClassVar[Traits] = Traits("crossover", stochastic=False, gene_wise=True, convex=True, homogeneous=True)
    kernel = clipped
    weight: float = 0.5


@gene_kernel
def by_size(x: Gene, leader: Gene, weight: Scalar):
    share = absolute(leader) / (absolute(leader) + absolute(x) + 1.0e-20)
    return where(absolute(x) + absolute(leader) > 1.0e20, x, x + share * (leader - x))


@dataclass(frozen=True)
class BySize(Kernel):
    """Weighs the parents by the size of their genes, claiming that the origin does not matter."""

    traits: ClassVar[Traits] = Traits("crossover", stochastic=False, gene_wise=True, translates=True)
    kernel = by_size
    weight: float = 0.5


class Standardised(Blend):
    """Scales to the other parent's spread, claiming to act gene by gene (a norm of the whole tensor)."""

    traits = Traits("crossover", stochastic=False, gene_wise=True)

    def blend(self, x, other):
        return x.float() * (1 + 1e-3 * x.float().abs().mean() if x.numel() else 1.0)


@dataclass(frozen=True)
class Pointed(Plain):
    """Sound: crossover at some points of every flattened tensor."""

    traits: ClassVar[Traits] = Traits(
        "crossover", stochastic=True, tensor_wise=True, idempotent=True, copies=True, complementary=True, points="cuts"
    )
    cuts: int = 2

    def places(self, count, noise, name):
        return torch.randint(1, max(2, count), (self.cuts,), generator=noise.at(name).generator())

    def rewrite(self, target, source, noise):
        made = {}
        for name, each in target.items():
            switches = torch.zeros(each.numel() + 2, dtype=torch.int64)
            places = self.places(each.numel(), noise, name).clamp(max=each.numel() + 1)
            switches.index_add_(0, places, torch.ones_like(places))
            mask = (switches.cumsum(0)[: each.numel()] % 2 == 1).view(each.shape)
            made[name] = torch.where(mask, source[name], each)
        return made


class OneMore(Pointed):
    """Cuts once more than it is told."""

    def places(self, count, noise, name):
        return torch.randint(1, max(2, count), (self.cuts + 1,), generator=noise.at(name).generator())


class CutsEarly(Pointed):
    """Draws its points from the first half only."""

    def places(self, count, noise, name):
        return torch.randint(1, max(2, count // 2), (self.cuts,), generator=noise.at(name).generator())


class NeverCuts(Pointed):
    """Puts its points behind the last gene, so that no parent ever gives way to the other."""

    def places(self, count, noise, name):
        return torch.full((self.cuts,), count + 1)


class Noisy(Takes):
    """Adds a little noise to what it takes, so that equal parents have another child."""

    def rewrite(self, target, source, noise):
        made = super().rewrite(target, source, noise)
        return {name: to(each, each + 1e-3 * normal(noise, f"{name} noise", each)) for name, each in made.items()}


@gene_kernel
def rooted(x: Gene, leader: Gene, share: Scalar):
    return x + share * sqrt(absolute(leader))


@dataclass(frozen=True)
class Rooted(Kernel):
    """Sound: takes square roots, which the reference has NumPy take."""

    traits: ClassVar[Traits] = Traits(stochastic=False, gene_wise=True)
    kernel = rooted
    share: float = 0.5


@gene_kernel
def differing(x: Gene, base: Gene, plus: Gene, minus: Gene, factor: Scalar):
    return base + factor * (plus - minus)


@dataclass(frozen=True)
class Differs(Kernel):
    """Sound: the mutant of differential evolution, from three parents that it draws."""

    traits: ClassVar[Traits] = Traits(stochastic=False, gene_wise=True, translates=True, difference="factor")
    kernel = differing
    factor: float = 0.5

    def pairs(self, scene):
        drawn = torch.randperm(len(scene.scores) - 1, generator=scene.noise.generator())[:3] + 1
        return [Pair(0, int(drawn[0]), tuple(drawn[1:].tolist()))]


@gene_kernel
def differing_always(x: Gene, base: Gene, plus: Gene, minus: Gene, factor: Scalar):
    return base + (factor + 0.1) * (plus - minus)


class DiffersAlways(Differs):
    """Has a smallest factor of its own, so that a factor of 0 is none."""

    kernel = differing_always


@gene_kernel
def differing_squared(x: Gene, base: Gene, plus: Gene, minus: Gene, factor: Scalar):
    return base + factor * factor * (plus - minus)


class DiffersSquared(Differs):
    """Multiplies by its factor twice."""

    kernel = differing_squared


@gene_kernel
def differing_never(x: Gene, base: Gene, plus: Gene, minus: Gene, factor: Scalar):
    return base + 0.0 * factor * (plus - minus)


class DiffersNever(Differs):
    """Loses its difference on the way: every child is a copy of its base."""

    kernel = differing_never


CROSSOVER = (
    ("X01", Shifted(), "there is a gene that no parent has"),
    ("X01", MultipliesInAKernel(), "there is a gene that no parent has"),
    ("X02", ChildOfOne(), "share 1 is not parent B in matrix.0"),
    ("X02", Inverted(), "share 0 is not parent A in matrix.0"),
    ("X02", Step(), "share 1 is not parent B in matrix.0"),
    ("X03", Noisy(), "equal parents have another child"),
    ("X03", WeightedSum(), "equal parents have another child"),
    ("X04", Largest(), "the two children do not hold the genes of both parents"),
    ("X05", Squared(), "a share of 0.25 took 0.06"),
    ("X05", RowsTwice(), "of a tensor on average"),
    ("X05-spread", RowsAsGenes(), "counts in 16384 blocks spread 4.00"),
    ("X05-spread", Tiled(), "blocks spread 1."),
    ("X05-spread", FirstHalf(), "blocks spread 4.00"),
    ("X05-spread", PairsOfBlocks(), "genes 1024 apart are taken together"),
    ("X06", OneMore(), "3 changes of the parent, at most 2 are set"),
    ("X06", CutsEarly(), "the parent changes at some places more often than at others"),
    ("X06", NeverCuts(), "the parent never changes"),
    ("X07", Widened(), "a gene is below all parents in matrix.0"),
    ("X07", Narrow(), "a gene is below all parents in matrix.0"),
    ("X07", Swells(), "a gene is above all parents in matrix.0"),
    ("X07-monotone", BackAndForth(), "a larger share moves a gene back"),
    ("X08", Clipped(), "parents times 0.25 give another child in matrix.0"),
    ("X08-shift", BySize(), "genes moved by 64 give a child that is off by "),
    ("X09", DiffersAlways(), "with a factor of 0 there is a gene that no parent has"),
    ("X09", DiffersSquared(), "twice the factor does not lead twice as far"),
    ("X09", DiffersNever(), "the factor changes nothing"),
    ("G15-own", Standardised(), "gene 0 changed genes [0, 1, 2, 3, 4]"),
)
"""The rule that must notice, the operator, and words of what the author is told."""

SOUND_CROSSOVER = (Takes(), TakesRows(), Blend(), Pointed(), Rooted(), Differs())
