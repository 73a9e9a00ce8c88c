"""What holds for crossover: whose genes a child has, how many of whose, and where it lies."""

import dataclasses
from typing import Any

import torch
from torch import Tensor

from evoweights.operators import PairOperator
from evoweights.testing.checks.instead import instead, moved
from evoweights.testing.checks.shared import (
    MODERATE,
    ONE_TENSOR,
    at_some_share,
    keeps_equal_parents,
    own_gene,
    scales,
    shifts,
    whole_numbers,
)
from evoweights.testing.comparing import bits, expect_same
from evoweights.testing.grounds import Draw, outcome, settled, with_settings
from evoweights.testing.parents import further_parents
from evoweights.testing.populations import move, share_z, vary_
from evoweights.testing.rules import Level, both, claims, condition, named, rule, tried_on

N = 2**16


@condition("kinds other than swarm")
def _no_swarm(operator: PairOperator) -> str:
    return "is a swarm: see P" if operator.traits.kind == "swarm" else ""


@rule("X01", claims("copies"))
def whose(operator: PairOperator, backend: str, draw: Draw) -> None:
    """X01: every gene is the individual's own or a parent's at that place, byte for byte."""
    before, after = settled(operator, draw), outcome(operator, draw, backend)
    child = whole_numbers(after.row(1))
    taken = [child == whole_numbers(before.row(row)) for row in (0, 1, *further_parents(operator))]
    assert bool(torch.stack(taken).any(0).all()), "there is a gene that no parent has"


@rule("X02", claims("share"), most=30)
def ends(operator: PairOperator, backend: str, draw: Draw) -> None:
    """X02: with a share of 0 the child is the individual as it was, with 1 it is its source, byte for byte."""
    before = settled(operator, draw)
    for share, row in ((0.0, 1), (1.0, 0)):
        made = settled(operator, draw)
        vary_(made, with_settings(operator, **named(operator, share=share)), seed=draw.seed, backend=backend)
        for segment in draw.layout.scope("all"):
            child, parent = bits(segment.view(made.row(1))), bits(segment.view(before.row(row)))
            expect_same(child, parent, f"share {share:g} is not parent {'BA'[row]} in {segment.name}")


equal = rule("X03", both(claims("idempotent"), _no_swarm), most=50)(keeps_equal_parents)
"""X03 for operators that are no swarm."""


@rule("X04", claims("complementary"), most=30, on=instead((1025,), rows=2))
def exchanged(operator: PairOperator, backend: str, draw: Draw) -> None:
    """X04: with the parents exchanged, the child holds at every gene what the first child did not take."""
    population = settled(operator, draw)
    x, other = population.row(1)[:1025].clone(), population.row(0)[:1025].clone()
    first = whole_numbers(move(operator, x, other, seed=draw.seed, backend=backend).genes)
    second = whole_numbers(move(operator, other, x, seed=draw.seed, backend=backend).genes)
    own, others = whole_numbers(x), whole_numbers(other)
    fits = ((first == own) & (second == others)) | ((first == others) & (second == own))
    assert bool(fits.all()), "the two children do not hold the genes of both parents"


def _taken(operator: PairOperator, count: int, seed: int, backend: str) -> Tensor:
    """1 for each gene of a matrix that came from the source, else 0."""
    shape = (count // 64, 64)
    return move(operator, torch.zeros(shape), torch.ones(shape), seed=seed, backend=backend).genes.double()


def _matrix(operator: PairOperator, backend: str, draw: Draw) -> tuple[Any, ...]:
    """A large matrix for what takes gene by gene, a smaller one, to be tried often, for others."""
    return moved((N if operator.traits.gene_wise else 4096) // 64, 64)(operator, backend, draw)


@rule("X05", claims("share", "copies"), most=1, level=Level.STATISTICAL, on=_matrix)
def share(operator: PairOperator, backend: str, draw: Draw) -> None:
    """X05: the share of genes from the source is the one that is set, to 5 standard deviations."""
    for wanted in (0.25, 0.6):
        there = with_settings(operator, **named(operator, share=wanted))
        if operator.traits.gene_wise:
            taken = float(_taken(there, N, draw.seed, backend).sum())
            assert abs(share_z(taken, N, wanted)) < 5, f"a share of {wanted} took {taken / N:.4f} of the genes"
        else:  # whole rows or pieces are taken: their spread is measured
            means = torch.stack([_taken(there, 4096, draw.seed ^ number, backend).mean() for number in range(200)])
            error = float(means.std()) / 200**0.5 + 1 / 4096
            found = float(means.mean())
            assert abs(found - wanted) < 5 * error, f"a share of {wanted} took {found:.4f} of a tensor on average"


@rule("X05-spread", claims("share", "copies", "gene_wise"), most=1, level=Level.STATISTICAL, on=_matrix)
def spread(operator: PairOperator, backend: str, draw: Draw) -> None:
    """X05: genes are taken one by one: counts in blocks of any size are binomial, and no place is preferred."""
    there = with_settings(operator, **named(operator, share=0.5))
    taken = _taken(there, N, draw.seed, backend).flatten()
    for block in (4, 64, 1024):
        for counts in (taken.view(-1, block).sum(1), taken.view(block, -1).sum(1)):
            expected = N / len(counts)
            found = float(((counts - 0.5 * expected) ** 2).mean()) / (expected / 4)
            assert abs(found - 1) < 5 * (2 / len(counts)) ** 0.5, f"counts in {len(counts)} blocks spread {found:.2f}"
    for distance in (1, 2, 4, 32, 64, 256, 1024):
        agree = float((taken[distance:] == taken[:-distance]).sum())
        assert abs(share_z(agree, N - distance, 0.5)) < 5, f"genes {distance} apart are taken together"


@rule("X06", claims("points", "copies"), most=3, level=Level.STATISTICAL, on=moved(256))
def points(operator: PairOperator, backend: str, draw: Draw) -> None:
    """X06: along a tensor the parent changes at most as often as is set, at places that are all as likely."""
    most = int(getattr(operator, operator.traits.points or ""))
    found = []
    for number in range(60):
        taken = move(operator, torch.zeros(256), torch.ones(256), seed=draw.seed ^ number, backend=backend).genes
        cuts = (taken[1:] != taken[:-1]).nonzero().flatten()
        with tried_on(backend, dataclasses.replace(draw, seed=draw.seed ^ number)):
            assert len(cuts) <= most, f"{len(cuts)} changes of the parent, at most {most} are set"
        found.append(cuts)
    places = torch.cat(found)
    assert len(places) > 0, "the parent never changes"
    for quarter in range(4):
        hits = float(((places >= quarter * 64) & (places < (quarter + 1) * 64)).sum())
        assert abs(share_z(hits, len(places), 0.25)) < 5, "the parent changes at some places more often than at others"


@rule("X07", claims("convex"), most=50, level=Level.EXACT)
def between(operator: PairOperator, backend: str, draw: Draw) -> None:
    """X07: every gene lies between those of the parents, at whatever share, rounded or not."""
    before, after = settled(operator, draw), settled(operator, draw)
    for population in (before, after):  # where the parents are one, between them is a single number
        population.row(0)[::2] = population.row(1)[::2]
    vary_(after, at_some_share(operator, draw), seed=draw.seed, backend=backend)
    for segment in draw.layout.scope("all"):
        child = segment.view(after.row(1))
        given = torch.stack([segment.view(before.row(row)) for row in (0, 1, *further_parents(operator))])
        assert bool((child >= given.amin(0)).all()), f"a gene is below all parents in {segment.name}"
        assert bool((child <= given.amax(0)).all()), f"a gene is above all parents in {segment.name}"


@rule(
    "X07-monotone",
    claims("convex", "share"),
    most=20,
    level=Level.EXACT,
    on=instead((1025,), dtype=torch.float32, rows=2),
)
def monotone(operator: PairOperator, backend: str, draw: Draw) -> None:
    """X07: a larger share never takes a gene further from the source's."""
    low = (draw.seed % 97) / 97
    before, made = settled(operator, draw), []
    for wanted in (low, low + (1 - low) * 0.1):
        population = settled(operator, draw)
        there = with_settings(operator, **named(operator, share=wanted))
        vary_(population, there, seed=draw.seed, backend=backend)
        made.append(population.row(1))
    near, far = made
    forward = before.row(0) >= before.row(1)
    assert bool(torch.where(forward, far >= near, far <= near).all()), "a larger share moves a gene back"


@rule(
    "X09",
    claims("difference"),
    most=10,
    level=Level.ROUNDING,
    on=instead((1025,), dtype=torch.float32, share=0.0),
)
def differences(operator: PairOperator, backend: str, draw: Draw) -> None:
    """X09: with a factor of 0 every gene is that of one parent, and twice the factor leads twice as far from there."""
    made = []
    for factor in (0.0, 0.25, 0.5):
        population = settled(operator, draw)
        there = with_settings(operator, **named(operator, difference=factor))
        vary_(population, there, seed=draw.seed, backend=backend)
        made.append(population.row(1)[:1025])
    before = settled(operator, draw)
    given = torch.stack([before.row(row)[:1025] for row in (0, 1, *further_parents(operator))])
    whose = torch.stack([whole_numbers(made[0]) == whole_numbers(each) for each in given])
    assert bool(whose.any(0).all()), "with a factor of 0 there is a gene that no parent has"
    near, far = (each.double() - made[0].double() for each in made[1:])
    slack = 8 * torch.finfo(torch.float32).eps * given.abs().amax(0).double()
    assert bool(((far - 2 * near).abs() <= slack).all()), "twice the factor does not lead twice as far"
    assert bool(near.any()), "the factor changes nothing"


scaled = rule("X08", both(claims("homogeneous"), _no_swarm), most=20, on=MODERATE)(scales)
"""X08 for operators that are no swarm: factors."""

shifted = rule("X08-shift", both(claims("translates"), _no_swarm), most=10, level=Level.ROUNDING, on=ONE_TENSOR)(shifts)
"""X08 for operators that are no swarm: constants."""

by_itself = rule("G15-own", both(claims("gene_wise"), _no_swarm), most=10, on=ONE_TENSOR)(own_gene)
"""G15 for operators that are no swarm."""

CROSSOVER_RULES = (
    whose, ends, equal, exchanged, share, spread, points, between, monotone, scaled, shifted, differences, by_itself,
)  # fmt: skip
"""What holds for crossover, and for others that claim the like."""
