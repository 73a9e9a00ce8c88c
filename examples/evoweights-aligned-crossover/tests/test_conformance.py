"""The operator keeps every rule of operators, aligned or not, and what it claims in its traits is so."""

from itertools import pairwise

import torch
from evoweights_aligned_crossover import AlignedCrossover
from torch import nn

from evoweights import layout_of
from evoweights.testing import parametrize_operators

# The kit draws tensors of all shapes; what cannot be aligned is refused, and rules that need other tensors are skipped.
WIDTHS = ((5, 17, 3), (3, 2), (1, 1, 1), (13, 40, 33, 4))
NETWORKS = [
    nn.Sequential(*(nn.Linear(each, after, dtype=dtype) for each, after in pairwise(widths)))
    for widths in WIDTHS
    for dtype in (torch.float32, torch.bfloat16)
]
LAYOUTS = [layout_of(each, [name for name, _ in each.named_parameters()]) for each in NETWORKS]


BROKEN = {"aligned_crossover": {"EW-G19": "the assignment is found on the CPU, by SciPy"}}


@parametrize_operators([AlignedCrossover()], layouts=LAYOUTS, profile="quick", expected_failures=BROKEN)
def test_contract_of_aligning(check):
    check()


@parametrize_operators(
    [
        AlignedCrossover(align=False),
        AlignedCrossover(align=False, unit="layer"),
        AlignedCrossover(align=False, share=0.4),
    ],
    profile="quick",
)
def test_contract_without_aligning(check):
    check()
