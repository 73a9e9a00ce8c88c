"""What an operator claims of itself, so that the conformance kit can hold it to that."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Traits:
    """The claims of one operator; each switches on the checks of what follows from it. None claims nothing.

    An operator has them as its class attribute ``traits``, or as a property where a setting decides. The texts name
    settings of the operator: ``Traits("crossover", copies=True, share="rate")``. ``evoweights.testing`` checks them.
    """

    kind: str = ""
    """``crossover``, ``swarm``, ``mutation``, or nothing of the sort."""
    stochastic: bool | None = None
    """Whether the result depends on the seed."""
    gene_wise: bool | None = None
    """A gene becomes a function of what the individual, its slots and its source hold at that gene, and of noise."""
    tensor_wise: bool | None = None
    """A tensor becomes the same whether or not others are in scope."""
    idempotent: bool | None = None
    """An individual that equals its source, with a memory at rest, keeps its bytes."""
    copies: bool | None = None
    """Every gene is the individual's or its source's, byte for byte."""
    complementary: bool | None = None
    """With the parents exchanged, the child holds at every gene what the first child did not take."""
    convex: bool | None = None
    """Every gene lies between those of the individual and its source."""
    homogeneous: bool | None = None
    """Genes and memory times a power of two give the result times that, bit for bit."""
    translates: bool | None = None
    """A constant added to all genes is added to the result, but for rounding."""

    share: str | None = None
    """Setting: the share of the source, from 0 (nothing of it) to 1 (nothing else)."""
    points: str | None = None
    """Setting: the largest number of places along a tensor where the parent changes."""
    rate: str | None = None
    """Setting: the probability that a gene is touched at all."""
    scale: str | None = None
    """Setting that the noise is proportional to."""
    law: str | None = None
    """The law of that noise on genes of 1, in units of ``scale``: ``normal``, ``uniform`` (from -1 to 1) or ``cauchy``."""
    reach: str | None = None
    """Setting: the largest change of a gene."""
    inertia: str | None = None
    """Setting: the share of the velocity that is kept."""
    own_pull: str | None = None
    """Setting: the pull towards the individual's own best; twice the mean step."""
    leader_pull: str | None = None
    """Setting: the pull towards the source; twice the mean step."""
    limit: str | None = None
    """Setting: the largest velocity of a gene."""
