"""Checks that rules of several kinds of operators share, and what they compare with."""

import torch
from torch import Tensor

from evoweights.operators import PairOperator
from evoweights.testing.checks.instead import instead
from evoweights.testing.comparing import bits, expect_same
from evoweights.testing.grounds import Draw, settled, with_settings
from evoweights.testing.parents import fewest_rows
from evoweights.testing.populations import vary_
from evoweights.testing.rules import named

MODERATE = instead(share=0.0)
"""What ``scales`` is tried on."""

ONE_TENSOR = instead((1025,), dtype=torch.float32, share=0.0, rows=fewest_rows)
"""What ``shifts`` and ``own_gene`` are tried on."""


def whole_numbers(tensor: Tensor) -> Tensor:
    """The bytes of every gene as a whole number, so that they can be compared one by one."""
    return tensor.contiguous().view(torch.int32 if tensor.dtype == torch.float32 else torch.int16)


def unlimited(operator: PairOperator) -> PairOperator:
    """The operator with its limit on velocities out of reach, if it has one."""
    return with_settings(operator, **named(operator, limit=1e30)) if operator.traits.limit else operator


def at_some_share(operator: PairOperator, draw: Draw) -> PairOperator:
    """The operator with another share of the source in every draw, if that is a setting."""
    if not operator.traits.share:
        return operator
    return with_settings(operator, **named(operator, share=draw.seed % 101 / 100))


def keeps_equal_parents(operator: PairOperator, backend: str, draw: Draw) -> None:
    """X03, P02: an individual that equals its source, with a memory at rest, keeps every byte, at whatever share."""
    operator = at_some_share(operator, draw)
    population = settled(operator, draw)
    for row in range(1, draw.rows):
        population.row(row).copy_(population.row(0))
        for slot in operator.slots:
            rest = population.row(0) if slot.role == "personal_best" else torch.zeros(())
            population.row(row, slot.name).copy_(rest)
    vary_(population, operator, seed=draw.seed, backend=backend)
    child, parent = bits(population.row(1)), bits(population.row(0))
    expect_same(child, parent, "equal parents have another child", layout=draw.layout)


def scales(operator: PairOperator, backend: str, draw: Draw) -> None:
    """X08, P06: genes and memory times a power of two give the result times that, bit for bit."""
    operator = unlimited(operator)
    once = settled(operator, draw)
    for factor in (0.25, 4.0):
        scaled = settled(operator, draw)
        for row in range(draw.rows):
            for name in ("weights", *(slot.name for slot in operator.slots)):
                scaled.row(row, name).mul_(factor)
        vary_(scaled, operator, seed=draw.seed, backend=backend)
        if factor == 0.25:
            vary_(once, operator, seed=draw.seed, backend=backend)
        for segment in draw.layout.scope("all"):
            found, expected = segment.view(scaled.row(1)), segment.view(once.row(1)) * factor
            expect_same(bits(found), bits(expected), f"parents times {factor} give another child in {segment.name}")


def shifts(operator: PairOperator, backend: str, draw: Draw) -> None:
    """X08, P06: a constant added to all genes, and to remembered ones, is added to the result, but for rounding."""
    operator = unlimited(operator)
    here, there = settled(operator, draw), settled(operator, draw)
    for shift, population in ((0.0, here), (64.0, there)):
        for row in range(draw.rows):
            for name in ("weights", *(slot.name for slot in operator.slots if slot.role == "personal_best")):
                tensor = population.row(row, name)
                tensor.copy_(tensor.clamp(-50, 50).round() + shift)
            for slot in operator.slots:
                if slot.role != "personal_best":
                    population.row(row, slot.name).clamp_(-50, 50)
        vary_(population, operator, seed=draw.seed, backend=backend)
    off = (there.row(1) - 64.0 - here.row(1))[:1025].abs().max()
    assert float(off) < 2e-3, f"genes moved by 64 give a child that is off by {float(off):.3g}"


def own_gene(operator: PairOperator, backend: str, draw: Draw) -> None:
    """G15, P07: changing one gene of the individual changes that gene of the child at most."""
    place, before, after = draw.seed % 1025, settled(operator, draw), settled(operator, draw)
    after.row(1)[place] += 7.0
    for population in (before, after):
        vary_(population, operator, seed=draw.seed, backend=backend)
    changed = (whole_numbers(before.row(1)) != whole_numbers(after.row(1)))[:1025].nonzero().flatten().tolist()
    assert changed in ([], [place]), f"gene {place} changed genes {changed[:5]}"
