"""What holds for particle swarms: velocity, the pulls of one's own best and of a leader, and rest."""

import dataclasses

import torch
from torch import Tensor

from evoweights.operators import PairOperator
from evoweights.testing.checks.instead import instead, moved
from evoweights.testing.checks.shared import (
    MODERATE,
    ONE_TENSOR,
    keeps_equal_parents,
    own_gene,
    scales,
    shifts,
    unlimited,
)
from evoweights.testing.comparing import bits, expect_same
from evoweights.testing.grounds import Draw, with_settings
from evoweights.testing.populations import flat_layout, mean_z, move, population_of, vary_
from evoweights.testing.rules import Level, claims, condition, named, rule, tried_on
from evoweights.testing.strategies import genes_of

N = 2**16
PART = moved(1025)
"""One matrix of a tile and a gene."""

AS_DRAWN = instead((1025,), rows=2)
"""The same, of the type and with the extreme genes that are drawn."""

PULLS = ("own_pull", "leader_pull")


def _slot(operator: PairOperator, *, is_best: bool) -> str | None:
    """The slot of the personal best, or of the velocity: the state whose name ends so."""
    for slot in operator.slots:
        if slot.role == "personal_best" if is_best else slot.role == "state" and slot.name.endswith("velocity"):
            return slot.name
    return None


def _with(operator: PairOperator, **values: float) -> PairOperator:
    """The operator with these values by trait, those that it has."""
    has = {trait: value for trait, value in values.items() if getattr(operator.traits, trait)}
    return with_settings(operator, **named(operator, **has))


def _flown(
    operator: PairOperator, x: Tensor, best: Tensor, leader: Tensor, velocity: Tensor, draw: Draw, backend: str
) -> tuple[Tensor, Tensor | None]:
    """The new genes, and the new velocity if one is kept."""
    names = {_slot(operator, is_best=True): best, _slot(operator, is_best=False): velocity}
    slots = {name: values for name, values in names.items() if name is not None}
    made = move(operator, x, leader, slots=slots, seed=draw.seed, backend=backend)
    kept = _slot(operator, is_best=False)
    return made.genes, None if kept is None else made.slots[kept]


def _with_velocity(
    operator: PairOperator, x: Tensor, best: Tensor, leader: Tensor, velocity: Tensor, draw: Draw, backend: str
) -> tuple[Tensor, Tensor]:
    """The new genes and the new velocity; raises if none is kept."""
    genes, after = _flown(operator, x, best, leader, velocity, draw, backend)
    assert after is not None, "no velocity is kept: a slot of the role state is looked for whose name ends in velocity"
    return genes, after


def _vectors(draw: Draw, *, share: float = 0.0, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    """Genes, best, leader and velocity."""
    seed = draw.seed % 2**32
    drawn = [genes_of([seed, row], 1025, dtype, extreme_share=share) for row in range(3)]
    return *drawn, genes_of([seed, 3], 1025, torch.float32, extreme_share=share)


swarm = claims("leader_pull", kind="swarm")
flying = claims("leader_pull", "inertia", kind="swarm")


@rule("P01", swarm, most=20, on=AS_DRAWN)
def unpulled(operator: PairOperator, backend: str, draw: Draw) -> None:
    """P01: without inertia and with nothing to be pulled to, no gene moves and the velocity is 0."""
    x, _, leader, velocity = _vectors(draw, share=draw.share, dtype=draw.layout.dtype)
    genes, after = _flown(_with(operator, inertia=0.0, leader_pull=0.0), x, x, leader, velocity, draw, backend)
    expect_same(bits(genes), bits(x), "genes move that nothing pulls")
    assert after is None or not after.any(), "a velocity stays without inertia and pulls"


rest = rule("P02", claims("idempotent", kind="swarm"), most=50)(keeps_equal_parents)
"""P02."""


@rule("P03", flying, most=20, on=PART)
def inertial(operator: PairOperator, backend: str, draw: Draw) -> None:
    """P03: with an inertia of 1 and no pulls a gene flies on: x + v, and v stays."""
    x, best, leader, velocity = _vectors(draw)
    there = unlimited(_with(operator, inertia=1.0, own_pull=0.0, leader_pull=0.0))
    genes, after = _with_velocity(there, x, best, leader, velocity, draw, backend)
    expect_same(bits(after), bits(velocity), "without pulls the velocity changes")
    expect_same(bits(genes), bits(x + velocity), "the step is not the velocity")


@rule("P04", claims("limit", "inertia", kind="swarm"), most=20, level=Level.EXACT, on=AS_DRAWN)
def limited(operator: PairOperator, backend: str, draw: Draw) -> None:
    """P04: no velocity exceeds the limit, from whatever numbers."""
    limit = (0.0, 1e-3, 0.5, 100.0)[draw.seed % 4]
    x, best, leader, velocity = _vectors(draw, share=draw.share, dtype=draw.layout.dtype)
    genes, after = _with_velocity(_with(operator, limit=limit), x, best, leader, velocity, draw, backend)
    assert bool((after.abs() <= limit).all()), f"a velocity is beyond the limit of {limit:g}"
    if limit == 0.0:
        expect_same(bits(genes), bits(x), "a limit of 0 lets genes move")


@rule("P05", flying, most=10, level=Level.ROUNDING, on=PART)
def superposed(operator: PairOperator, backend: str, draw: Draw) -> None:
    """P05: the new velocity is the sum of what each cause alone would make, and twice for causes twice as large."""
    operator = unlimited(operator)
    x, best, leader, velocity = (each.clamp(-10, 10) for each in _vectors(draw))

    def after(best: Tensor, leader: Tensor, velocity: Tensor) -> Tensor:
        return _with_velocity(operator, x, best, leader, velocity, draw, backend)[1].double()

    parts = after(best, x, 0 * velocity) + after(x, leader, 0 * velocity) + after(x, x, velocity)
    assert bool(((after(best, leader, velocity) - parts).abs() < 1e-4).all()), "the causes do not add up"
    found, wanted = after(x, x, velocity * 2), after(x, x, velocity) * 2
    expect_same(bits(found), bits(wanted), "twice the velocity is not kept twice")


scaled = rule("P06", claims("homogeneous", kind="swarm"), most=20, on=MODERATE)(scales)
"""P06: factors."""

shifted = rule("P06-shift", claims("translates", kind="swarm"), most=10, level=Level.ROUNDING, on=ONE_TENSOR)(shifts)
"""P06: constants."""

by_itself = rule("P07", claims("gene_wise", kind="swarm"), most=10, on=ONE_TENSOR)(own_gene)
"""P07."""


@rule("P08", swarm, most=1, level=Level.STATISTICAL, on=moved(N))
def pulls(operator: PairOperator, backend: str, draw: Draw) -> None:
    """P08: each pull is a share between 0 and 1, drawn anew for every gene, individual and generation."""
    zero, one = torch.zeros(N), torch.ones(N)
    drawn = []
    for trait in PULLS:
        if getattr(operator.traits, trait):
            there = _with(unlimited(operator), **{each: float(each == trait) for each in PULLS})
            places = (one, zero) if trait == "own_pull" else (zero, one)
            drawn.append(_flown(there, zero, *places, zero, draw, backend)[0])
    for r in drawn:
        assert float(r.min()) >= 0.0 and float(r.max()) <= 1.0, "a pull is beyond 0 to 1"
        assert float(r.max()) - float(r.min()) > 0.9, "all genes are pulled alike"
        assert abs(mean_z(r, 0.5)) < 5, f"the mean pull is {float(r.mean()):.4f}, not 1/2"
        for distance in (1, 2, 64, 1024):
            related = abs(float(torch.corrcoef(torch.stack([r[distance:], r[:-distance]]))[0, 1]))
            assert related < 5 / (N - distance) ** 0.5, (
                f"the pulls of genes {distance} apart have to do with one another"
            )
    if len(drawn) == 2:
        assert abs(float(torch.corrcoef(torch.stack(drawn))[0, 1])) < 5 / N**0.5, "both pulls use one draw"
    _apart(operator, backend, draw)


def _apart(operator: PairOperator, backend: str, draw: Draw) -> None:
    """Raise if two individuals, or two generations, draw the same pulls."""
    made, there = [], dataclasses.replace(draw, layout=flat_layout(4096), rows=3)
    for generation in (3, 4):
        population = population_of(there.layout, there.rows, slots=operator.slots)
        for row in range(3):
            population.row(row).fill_(0.0 if row else 1.0)
            for slot in operator.slots:
                population.row(row, slot.name).zero_()
        vary_(population, operator, seed=draw.seed, backend=backend, generation=generation)
        made += [population.row(1).clone(), population.row(2).clone()]
    related = torch.corrcoef(torch.stack(made)).fill_diagonal_(0.0).abs().nan_to_num(0.0)
    with tried_on(backend, there):
        assert float(related.max()) < 5 / 64, "two individuals or generations draw the same"


@rule("P09", swarm, most=1, level=Level.STATISTICAL, on=moved(N))
def mean_move(operator: PairOperator, backend: str, draw: Draw) -> None:
    """P09: the mean move is inertia times the velocity plus half of each pull times the way to where it pulls."""
    x, best, leader, velocity = (torch.full((N,), each) for each in (1.0, 3.0, -2.0, 0.5))
    values = {"inertia": 0.7, "own_pull": 1.2, "leader_pull": 0.8}
    genes, _ = _flown(unlimited(_with(operator, **values)), x, best, leader, velocity, draw, backend)
    has = {trait: value if getattr(operator.traits, trait) else 0.0 for trait, value in values.items()}
    expected = 1.0 + has["inertia"] * 0.5 + has["own_pull"] * (3.0 - 1.0) / 2 + has["leader_pull"] * (-2.0 - 1.0) / 2
    assert abs(mean_z(genes, expected)) < 5, f"the mean gene is {float(genes.mean()):.4f}, not {expected:.4f}"


@rule("P11", claims("inertia", "own_pull", "leader_pull", kind="swarm"), most=1, level=Level.BOUND, on=moved(64))
def stable(operator: PairOperator, backend: str, draw: Draw) -> None:
    """P11: with an inertia of 0.729 and pulls of 1.494 it comes to rest where both pull; with 1 and 3 it flies ever further.

    Source: Clerc and Kennedy 2002; Poli 2009 for the borders of stability.
    """
    target, start = torch.ones(64), torch.full((64,), 5.0)
    for inertia, pull, steps in ((0.729, 1.494, 80), (1.0, 3.0, 30)):
        there = unlimited(_with(operator, inertia=inertia, own_pull=pull, leader_pull=pull))
        x, velocity = start, torch.zeros(64)
        for step in range(steps):
            here = dataclasses.replace(draw, seed=draw.seed ^ step)
            x, kept = _flown(there, x, target, target, velocity, here, backend)
            velocity = velocity if kept is None else kept
        away = float((x - target).abs().median())
        if inertia < 1.0:
            assert away < 0.1, f"after {steps} moves it is still {away:.3g} away, from 4 at first"
        else:
            assert away > 40.0, f"it is kept within {away:.3g} of a target that it should leave"


@condition("kind swarm with leader_pull, no inertia")
def _memoryless(operator: PairOperator) -> str:
    return swarm(operator) or ("keeps a velocity" if operator.traits.inertia else "")


@rule("P12", _memoryless, most=20, level=Level.ROUNDING, on=PART)
def on_the_way(operator: PairOperator, backend: str, draw: Draw) -> None:
    """P12: without velocity a gene lands between where it was and the pull times the way to the leader."""
    pull = float(getattr(operator, operator.traits.leader_pull or ""))
    x, best, leader, velocity = _vectors(draw)
    genes, _ = _flown(operator, x, best, leader, velocity, draw, backend)
    start, way = x.double(), pull * (leader.double() - x.double())
    slack = 1e-5 * way.abs() + 4 * torch.finfo(torch.float32).eps * (start.abs() + leader.double().abs())
    low, high = torch.minimum(start, start + way) - slack, torch.maximum(start, start + way) + slack
    assert bool(((genes.double() >= low) & (genes.double() <= high)).all()), "a gene lands off its way"


SWARM_RULES = (
    unpulled, rest, inertial, limited, superposed, scaled, shifted, by_itself, pulls, mean_move, stable, on_the_way,
)  # fmt: skip
"""What holds for particle swarms."""
