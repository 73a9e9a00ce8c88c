"""Crossover: genes of another individual are copied or blended in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from evoweights.catalog import setting
from evoweights.operators import GeneOperator
from evoweights.traits import Traits
from evoweights_kernels import GeneKernel, bodies

BLEND = Traits(
    "crossover",
    stochastic=False,
    gene_wise=True,
    idempotent=True,
    convex=True,
    homogeneous=True,
    translates=True,
    share="weight",
)
"""What both blends claim."""


@dataclass(frozen=True)
class Crossover(GeneOperator):
    """Uniform crossover: each gene is copied from the other parent with the given probability, one way."""

    name: ClassVar[str] = "crossover"
    source: ClassVar[str] = "Syswerda 1989; in EOE: Chen 2025, arXiv 2509.24436"
    traits: ClassVar[Traits] = Traits(
        "crossover",
        stochastic=True,
        gene_wise=True,
        idempotent=True,
        copies=True,
        complementary=True,
        homogeneous=True,
        translates=True,
        share="rate",
    )

    rate: float = setting(0.6, "probability that a gene is copied", unit="probability", minimum=0.0, maximum=1.0)
    bits: int = setting(
        16, "random bits per gene: 8 are fastest and resolve the rate to 1/256, 16 to 1/65536, 32 to 1/2^24"
    )

    def __post_init__(self) -> None:
        if self.bits not in (8, 16, 32):
            raise ValueError(f"bits: found {self.bits}, allowed are 8, 16 and 32")

    @property
    def kernel(self) -> GeneKernel:  # pyright: ignore[reportIncompatibleVariableOverride] (a setting decides)
        """Uniform crossover with the chosen width of random numbers."""
        # The same kernel object each time: what is compiled for it is found by its identity.
        return {8: bodies.uniform_crossover_8, 16: bodies.uniform_crossover, 32: bodies.uniform_crossover_32}[self.bits]

    def scalars(self) -> Mapping[str, float]:
        """The probability of taking the other parent's gene."""
        return {"take": self.rate}


@dataclass(frozen=True)
class ArithmeticCrossover(GeneOperator):
    """Arithmetic crossover: ``(1 - weight) x + weight other``, exact at both ends, for equal parents, and within the hull."""

    name: ClassVar[str] = "arithmetic_crossover"
    source: ClassVar[str] = "Michalewicz 1992, Genetic Algorithms + Data Structures = Evolution Programs, chapter 5"
    traits: ClassVar[Traits] = BLEND
    kernel = bodies.arithmetic_crossover

    weight: float = setting(0.5, "share of the other parent", unit="fraction", minimum=0.0, maximum=1.0)


@dataclass(frozen=True)
class Mix(GeneOperator):
    """EOE's deterministic mix: a step of fixed share from every gene towards the leader's."""

    name: ClassVar[str] = "mix"
    source: ClassVar[str] = "Chen 2025, arXiv 2509.24436 (in its published code)"
    traits: ClassVar[Traits] = BLEND
    kernel = bodies.mix

    weight: float = setting(0.1, "share of the leader", unit="fraction", minimum=0.0, maximum=1.0)
