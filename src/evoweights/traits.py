"""What an operator or a selection claims of itself, so that the conformance kit can hold it to that."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Traits:
    """The claims of one component; each switches on the checks of what follows from it. None claims nothing.

    A component has them as its class attribute ``traits``, or as a property where a setting decides, and
    ``evoweights.testing`` checks them. ``kind`` is ``crossover``, ``swarm``, ``mutation``, or empty. What it is:

    * ``stochastic``: the result depends on the seed.
    * ``gene_wise``: a gene becomes a function of what the individual, its slots and its source hold there, and of noise.
    * ``tensor_wise``: a tensor becomes the same whether or not others are in scope.
    * ``idempotent``: an individual that equals its source, with a memory at rest, keeps its bytes.
    * ``copies``: every gene is the individual's or its source's, byte for byte.
    * ``complementary``: with the parents exchanged, the child holds at every gene what the first child did not take.
    * ``convex``: every gene lies between those of the individual and its source.
    * ``homogeneous``: genes and memory times a power of two give the result times that, bit for bit.
    * ``translates``: a constant added to all genes is added to the result, but for rounding.
    * ``memory_factor``: the most memory that a call takes, as a multiple of the genome: what an operator in plain torch makes,
      its results included, or what a kernel computes of whole tensors before it is launched (0 if nothing is said).

    Of a selection:

    * ``elitist``: the best known individual is still there afterwards.
    * ``by_rank``: only the order of the losses counts.
    * ``equivariant``: how likely one takes another's place does not depend on the rows they are in.
    * ``elites``: the setting that says how many of the best stay in their rows.
    * ``contestants``: the setting that says how many rows are drawn, with replacement, for the tournament of each row.
    * ``replaced``: the setting that says which share of the population, the worst, is replaced by ones of as large a share,
      the best, while all others stay.

    The others name the setting that has a role, as in ``Traits("crossover", copies=True, share="rate")``:

    * ``share``: the share of the source, from 0 (nothing of it) to 1 (nothing else).
    * ``points``: the largest number of places along a tensor where the parent changes.
    * ``rate``: the probability that a gene is touched at all.
    * ``scale``: what the noise is proportional to; ``law`` is that of the noise on genes of 1, in units of the scale:
      ``normal``, ``uniform`` (from -1 to 1) or ``cauchy``.
    * ``reach``: the largest change of a gene.
    * ``rank``: the largest rank that the noise of a matrix has.
    * ``difference``: the factor of differences between further parents; with 0 every gene is that of one parent.
    * ``inertia``, ``limit``: the share of the velocity that is kept, and the largest velocity of a gene.
    * ``own_pull``, ``leader_pull``: the pulls towards one's own best and towards the source, twice the mean step.
    """

    kind: str = ""
    stochastic: bool | None = None
    gene_wise: bool | None = None
    tensor_wise: bool | None = None
    idempotent: bool | None = None
    copies: bool | None = None
    complementary: bool | None = None
    convex: bool | None = None
    homogeneous: bool | None = None
    translates: bool | None = None
    memory_factor: float | None = None
    elitist: bool | None = None
    by_rank: bool | None = None
    equivariant: bool | None = None
    elites: str | None = None
    contestants: str | None = None
    replaced: str | None = None
    share: str | None = None
    points: str | None = None
    rate: str | None = None
    scale: str | None = None
    law: str | None = None
    reach: str | None = None
    rank: str | None = None
    difference: str | None = None
    inertia: str | None = None
    limit: str | None = None
    own_pull: str | None = None
    leader_pull: str | None = None
