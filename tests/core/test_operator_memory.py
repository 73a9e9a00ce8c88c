"""G20: an operator takes no memory that grows with the genome. G10: it does not read the names of the segments."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evoweights.genome import Layout, Segment
from evoweights.population import Population
from evoweights_classic import PSO, ArithmeticCrossover, Crossover, Mix, Mutation
from populations import bits, flat_layout, mixed_layout, population_of, vary_

GENES = 16 * 2**20
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def _kilobytes(name: str) -> int:
    return next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith(name))


@pytest.mark.skipif(not CLEAR.exists(), reason="only Linux tells the peak of a part of a process")
@pytest.mark.parametrize(
    "operator",
    [PSO(), Crossover(), ArithmeticCrossover(), Mix(), Mutation(relative_to="nothing")],
    ids=lambda each: each.name,
)
def test_an_operator_takes_less_than_five_percent_of_a_genome_beside_it(operator):
    population = Population(flat_layout(GENES), 2, home="host", device=torch.device("cpu"), folder=Path(), slots=())
    for row in range(2):
        population.row(row).fill_(row + 0.5)
    vary_(population, operator, backend="cpu")  # compiles
    before = _kilobytes("VmRSS")
    CLEAR.write_text("5")  # the peak starts anew
    vary_(population, operator, backend="cpu")
    assert _kilobytes("VmHWM") - before <= 0.05 * GENES * 4 / 1024


@given(st.permutations(("a", "b", "c", "d", "e", "f", "g", "h")))
def test_the_names_of_segments_change_nothing(names):
    layout = mixed_layout()
    renamed = Layout(
        tuple(
            Segment(f"{names[i % 8]}.{i}", each.shape, each.role, each.start) for i, each in enumerate(layout.segments)
        ),
        layout.dtype,
    )
    acting = (PSO(), Crossover(), Mutation(rate=0.5))
    one, other = population_of(layout, 3), population_of(renamed, 3)
    for population in (one, other):
        vary_(population, *acting)
    assert all(bits(one.row(row)) == bits(other.row(row)) for row in range(one.size))
    assert one.row(0).dtype == torch.float32
