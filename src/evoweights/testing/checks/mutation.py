"""What holds for mutation: how many genes it touches, and the law, the size and the independence of its noise."""

import math
from typing import Any

import torch
from torch import Tensor

from evoweights.operators import GeneOperator, PairOperator
from evoweights.testing.checks.instead import instead, moved
from evoweights.testing.checks.shared import whole_numbers
from evoweights.testing.comparing import bits, expect_same
from evoweights.testing.grounds import Draw, is_random, settled, with_settings
from evoweights.testing.populations import mean_z, move, population_of, share_z, vary_
from evoweights.testing.rules import Level, both, claims, condition, named, rule
from evoweights.testing.strategies import genes_of

N = 2**16

NOT_COMPILED = "reference"
"""Where noise of a rate of 1 is looked at: some operators have another kernel for it, which would be compiled for this alone."""

PART = moved(1025)
"""One matrix of a tile and a gene."""


@condition("what draws a number for each gene")
def _noisy(operator: PairOperator) -> str:
    if operator.traits.rank:
        return "claims rank: genes of a row share a factor"
    return "" if is_random(operator) else "is not stochastic"


def _set(operator: PairOperator, *, scale: float, rate: float = 1.0) -> PairOperator:
    """The operator with this scale, and this rate if it has one."""
    told = {"scale": scale} | ({"rate": rate} if operator.traits.rate else {})
    return with_settings(operator, **named(operator, **told))


def _mutated(operator: PairOperator, x: Tensor, draw: Draw, backend: str) -> Tensor:
    return move(operator, x, x.clone(), seed=draw.seed, backend=backend).genes


@condition("rate or scale")
def _rate_or_scale(operator: PairOperator) -> str:
    return "" if operator.traits.rate or operator.traits.scale else "claims neither rate nor scale"


@rule("M01", _rate_or_scale, most=30)
def switched_off(operator: PairOperator, backend: str, draw: Draw) -> None:
    """M01: with a rate of 0, or a scale of 0, no byte of the weights changes."""
    before = settled(operator, draw)
    for trait in ("rate", "scale"):
        if getattr(operator.traits, trait):
            population = settled(operator, draw)
            there = with_settings(operator, **named(operator, **{trait: 0.0}))
            vary_(population, there, seed=draw.seed, backend=backend)
            now, was = bits(population.row(1)), bits(before.row(1))
            expect_same(now, was, f"{trait} 0 changes genes", layout=draw.layout)


def _some_genes(operator: PairOperator, backend: str, draw: Draw) -> tuple[Any, ...]:
    share = 0.3 if isinstance(operator, GeneOperator) else 0.0
    return instead((1025,), share=share, rows=2)(operator, backend, draw)


@rule("M02", claims("rate", "scale"), most=20, on=_some_genes)
def untouched(operator: PairOperator, backend: str, draw: Draw) -> None:
    """M02: genes that are not touched keep their bytes, and which they are does not depend on the scale."""
    x = settled(operator, draw).row(1)[:1025].clone()
    large = _mutated(_set(operator, scale=1e4, rate=0.3), x, draw, backend)
    small = _mutated(_set(operator, scale=1e-3, rate=0.3), x, draw, backend)
    still = whole_numbers(large) == whole_numbers(x)
    changed = float((~still).sum())  # fewer than the rate says may show: a step is lost in the largest numbers
    assert share_z(changed, 1025, 0.3) < 5, f"a rate of 0.3 changed {changed / 1025:.3f} of the genes"
    expect_same(
        bits(torch.where(still, small, x)), bits(x), "genes that a large scale leaves alone, a small one changes"
    )


@rule("M03", claims("rate", "scale"), most=1, level=Level.STATISTICAL, on=moved(N // 64, 64))
def touched(operator: PairOperator, backend: str, draw: Draw) -> None:
    """M03: the share of touched genes is the rate, in the whole tensor and in every part of it."""
    for rate in (0.01, 0.25):
        x = torch.full((N // 64, 64), 2.0)
        made = _mutated(_set(operator, scale=1.0, rate=rate), x, draw, backend).flatten() != 2.0
        assert abs(share_z(float(made.sum()), N, rate)) < 5, (
            f"a rate of {rate} touched {float(made.float().mean()):.5f} of the genes"
        )
        for counts in (made.view(16, -1).sum(1), made.view(-1, 16).sum(0), made.view(-1, 64).sum(0).view(16, 4).sum(1)):
            worst = max(abs(share_z(float(count), N // 16, rate)) for count in counts)
            assert worst < 5.5, f"rate {rate}: a sixteenth is off by {worst:.1f} standard deviations"


SURVIVAL = {
    "normal": lambda edge: 0.5 * math.erfc(edge / 2**0.5),
    "uniform": lambda edge: max(0.0, (1 - edge) / 2),
    "cauchy": lambda edge: 0.5 - math.atan(edge) / math.pi,
}
"""By law: the probability of lying above an edge of at least 0."""


@rule(
    "M04",
    claims("scale", "law"),
    most=1,
    level=Level.STATISTICAL,
    on=moved(N // 64, 64, backend=NOT_COMPILED),
)
def lawful(operator: PairOperator, backend: str, draw: Draw) -> None:
    """M04: noise is centred, symmetric, of the law that is claimed, and its unit is the scale."""
    assert operator.traits.law in SURVIVAL, f"traits.law: {operator.traits.law!r} is none of {', '.join(SURVIVAL)}"
    beyond = SURVIVAL[operator.traits.law]
    z = (_mutated(_set(operator, scale=0.5), torch.ones(N // 64, 64), draw, backend).double().flatten() - 1.0) / 0.5
    for edge in (0.0, 0.25, 0.6745, 0.9, 1.0, 2.0, 3.0):
        for side in (z, -z):
            hits, expected = float((side > edge + 1e-6).sum()), beyond(edge)
            if expected == 0.0:
                assert hits == 0, f"{hits:.0f} of {N} lie beyond {edge}, where none may lie"
            else:
                assert abs(share_z(hits, N, expected)) < 5, (
                    f"{hits / N:.5f} of all lie beyond {edge}, not {expected:.5f}"
                )
    if operator.traits.law == "normal":
        moments = [mean_z(z**power, mean) for power, mean in ((1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0))]
        assert all(abs(each) < 5 for each in moments), f"the moments are off by {moments} standard errors"


@rule(
    "M04-independent",
    both(claims("scale"), _noisy),
    most=1,
    level=Level.STATISTICAL,
    on=instead((64, 64), (64, 64), dtype=torch.float32, share=0.0, rows=3, backend=NOT_COMPILED),
)
def independent(operator: PairOperator, backend: str, draw: Draw) -> None:
    """M04: genes, tensors of one shape, individuals and generations get noise that has nothing to do with one another."""
    layout = draw.layout
    there, made = _set(operator, scale=0.5), []
    for generation in (3, 4):
        population = population_of(layout, 3, slots=operator.slots)
        for row in range(3):
            population.row(row).fill_(1.0)
        vary_(population, there, seed=draw.seed, backend=backend, generation=generation)
        made += [torch.sign(segment.view(population.row(row)) - 1.0) for row in (1, 2) for segment in layout.segments]
    views = [each.flatten() for each in made]
    views += [made[0].roll(distance, dims).flatten() for distance in (1, 2) for dims in (0, 1)]
    related = torch.corrcoef(torch.stack(views)).fill_diagonal_(0.0).abs()
    assert bool((made[0] != 0).any()), "genes of 1 get no noise"
    # Two rolled copies of one tensor are looked at as well: that their noise is that of the tensor must not show either.
    worst = float(related.max())
    assert worst < 5.5 / 64, f"noise that should be independent correlates by {worst:.3f}"


@rule("M05", claims("scale"), most=10, level=Level.ROUNDING, on=PART)
def proportional(operator: PairOperator, backend: str, draw: Draw) -> None:
    """M05: twice the scale is exactly twice the noise of the same seed, before it is rounded."""
    _multiplied(operator, backend, draw, 2.0)


@rule("M06", claims("scale"), most=10, level=Level.ROUNDING, on=PART)
def mirrored(operator: PairOperator, backend: str, draw: Draw) -> None:
    """M06: the scale with the other sign is the same noise with the other sign."""
    _multiplied(operator, backend, draw, -1.0)


def _multiplied(operator: PairOperator, backend: str, draw: Draw, factor: float) -> None:
    for start in (0.0, 1.0):
        x = torch.full((1025,), start)
        once, other = (
            _mutated(_set(operator, scale=0.125 * each, rate=0.5), x, draw, backend) - x for each in (1.0, factor)
        )
        slack = 4 * torch.finfo(torch.float32).eps * (start + other.abs())
        assert bool(((other - factor * once).abs() <= slack * start).all()), (
            f"scale times {factor:g} is not noise times that"
        )


@rule("M07", claims("scale", "translates"), most=10, level=Level.ROUNDING, on=PART)
def undone(operator: PairOperator, backend: str, draw: Draw) -> None:
    """M07: the same noise with the other sign leads back, to rounding: what needs every bit keeps the weights themselves."""
    x = genes_of(draw.seed % 2**32, 1025, torch.float32, extreme_share=0.0)
    there, back = (_set(operator, scale=scale, rate=0.5) for scale in (0.25, -0.25))
    changed = _mutated(there, x, draw, backend)
    again = _mutated(back, changed, draw, backend)
    slack = 4 * torch.finfo(torch.float32).eps * (x.abs() + changed.abs())
    off = (again - x).abs() - slack
    assert bool((off <= 0).all()), f"back and forth leads {float(off.max()):.3g} away"


@rule(
    "M08",
    claims("scale", "law"),
    most=1,
    level=Level.STATISTICAL,
    on=moved(N, dtype=torch.bfloat16, backend=NOT_COMPILED),
)
def realised(operator: PairOperator, backend: str, draw: Draw) -> None:
    """M08: bfloat16 weights get the noise that is asked for, unbiased, and not what is left of it after rounding."""
    scale = 0.004 if isinstance(operator, GeneOperator) else 0.05
    x = torch.ones(N, dtype=torch.bfloat16)
    there = with_settings(_set(operator, scale=scale), rounding="stochastic")
    noise = _mutated(there, x, draw, backend).double() - 1.0
    if operator.traits.law == "cauchy":
        assert float((noise.abs() > scale / 2).double().mean()) > 0.3, "most of the noise is lost to rounding"
        return
    unit = {"normal": 1.0, "uniform": 3**-0.5}.get(operator.traits.law or "", 1.0) * scale
    assert float(noise.std()) >= 0.95 * unit, f"noise of {unit:.3g} is realised as {float(noise.std()):.3g}"
    assert abs(mean_z(noise, 0.0)) < 5, f"the mean of the noise is {float(noise.mean()):.2g}, not 0"


@rule("M10", claims("reach"), most=30, level=Level.BOUND, on=instead(dtype=torch.float32, share=0.0))
def bounded(operator: PairOperator, backend: str, draw: Draw) -> None:
    """M10: no gene changes by more than the reach that is set."""
    reach = float(getattr(operator, operator.traits.reach or ""))
    before, after = settled(operator, draw), settled(operator, draw)
    vary_(after, operator, seed=draw.seed, backend=backend)
    change = (after.row(1).double() - before.row(1).double()).abs()
    slack = torch.finfo(torch.float32).eps * (reach + before.row(1).double().abs())
    assert bool((change <= reach + slack).all()), (
        f"a gene changed by {float(change.max()):.4g}, at most {reach:g} is set"
    )


@rule("M11", claims("scale", "rank"), most=1, level=Level.STATISTICAL, on=moved(512, 256))
def low_rank(operator: PairOperator, backend: str, draw: Draw) -> None:
    """M11: the noise of a matrix has at most the rank that is set, and its numbers have the scale for standard deviation."""

    for rank in (1, 3):
        there = with_settings(_set(operator, scale=0.5), **named(operator, rank=rank))
        noise = _mutated(there, torch.zeros(512, 256), draw, backend).double()
        sizes = torch.linalg.svdvals(noise)
        assert float(sizes[rank]) <= 1e-5 * float(sizes[0]), f"the noise has more than rank {rank}"
        # A row and a column share a factor, so that there are far fewer free numbers than genes.
        square = float(noise.square().mean()) / 0.25
        assert abs(square - 1) < 5 * (2 / rank * (1 / 512 + 1 / 256)) ** 0.5, (
            f"the standard deviation of the noise is {square**0.5:.3f} times the scale"
        )


MUTATION_RULES = (
    switched_off, untouched, touched, lawful, independent, proportional, mirrored, undone, realised, bounded, low_rank,
)  # fmt: skip
"""What holds for mutation, and for others that claim the like."""
