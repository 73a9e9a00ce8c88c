"""Operators whose kernels read more than one parent, and that draw whom they rewrite from whom."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from evoweights.errors import PluginError
from evoweights.operators import GeneOperator, Pair, TensorOperator
from evoweights.population import Population
from evoweights.testing.populations import BACKENDS, CPU, flat_layout, vary_
from evoweights_kernels import Gene, gene_kernel


@gene_kernel
def blend_kernel(x: Gene, first: Gene, second: Gene, third: Gene):
    """The sum of three parents, each with a weight of its own."""
    return first + 10.0 * second + 100.0 * third


@dataclass(frozen=True)
class Blend(GeneOperator):
    """Rewrites row 0, and then row 1, from the parents that the test says."""

    name, source, kernel = "blend", "a test", blend_kernel
    rewritings: tuple = ()

    def pairs(self, scene):
        return list(self.rewritings)


def of_their_number(size):
    population = Population(flat_layout(2000), size, home="host", device=CPU, folder=Path(), slots=())
    for row in range(size):
        population.row(row).fill_(float(row))
    return population


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_parents_of_a_pair_are_read_in_their_order(backend):
    population = of_their_number(5)
    (record,) = vary_(population, Blend(rewritings=(Pair(0, 3, (1, 2)),)), backend=backend)
    assert float(population.row(0)[7]) == 3 + 10 + 200
    assert record.sources == (3, 1, 2) and record.parents == (0, 3, 1, 2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_parent_is_read_as_it_was_before_the_operator_began(backend):
    population = of_their_number(5)
    vary_(population, Blend(rewritings=(Pair(1, 2, (3, 4)), Pair(0, 3, (1, 2)), Pair(4, 2, (0, 4)))), backend=backend)
    assert [float(population.row(row)[0]) for row in (1, 0, 4)] == [2 + 30 + 400, 3 + 10 + 200, 2 + 0 + 400]


def test_a_single_parent_is_read_by_all_arguments():
    population = of_their_number(3)
    vary_(population, Blend(rewritings=(Pair(0, 2),)))
    assert float(population.row(0)[0]) == 222.0


def test_operators_fuse_only_if_no_further_parent_is_rewritten():
    apart, mixed = (Pair(0, 3, (2, 4)), Pair(1, 2, (3, 4))), (Pair(0, 3, (1, 4)), Pair(1, 2, (3, 4)))
    for pairs, launches in ((apart, 2), (mixed, 4)):
        population = of_their_number(5)
        records = vary_(population, Blend(rewritings=pairs), Blend(rewritings=pairs))
        assert len(records) == launches


def test_parents_that_the_kernel_does_not_read_are_refused():
    with pytest.raises(
        PluginError, match=r"its pairs have 2 parents, but kernel blend_kernel reads 3 \(first, second, th"
    ):
        vary_(of_their_number(4), Blend(rewritings=(Pair(0, 1, (2,)),)))


def test_an_operator_over_named_tensors_with_several_parents_is_refused():
    @dataclass(frozen=True)
    class Several(TensorOperator):
        name, source = "several", "a test"

        def pairs(self, scene):
            return [Pair(0, 1, (2,))]

        def rewrite(self, target, source, noise):
            return {}

    with pytest.raises(PluginError, match="an operator over named tensors reads one parent"):
        vary_(of_their_number(4), Several())


def test_who_is_drawn_depends_on_seed_generation_and_entry():
    drawn = []

    @dataclass(frozen=True)
    class Drawing(Blend):
        def pairs(self, scene):
            drawn.append(scene.noise.torch_seed())
            return []

    for seed, generation in ((1, 3), (1, 3), (2, 3), (1, 4)):
        vary_(of_their_number(2), Drawing(), Drawing(), seed=seed, generation=generation)
    assert drawn[:2] == drawn[2:4] and len(set(drawn)) == 6
