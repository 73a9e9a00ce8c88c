"""Why a rule is not checked of a component, and what is said where a run breaks a rule, in words that somebody reads."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from small_components import Blend, SharedFirst, Wander
from zoo_general import Plain
from zoo_improvers import Descends

from evoweights.errors import UsageError
from evoweights.genome import Layout
from evoweights.testing import engine_machine, improver_checks, operator_checks
from evoweights.testing.comparing import bits, differences
from evoweights.testing.grounds import Draw, awkward_layout
from evoweights.testing.stateful.invariants import Watched, broken_rules
from evoweights.testing.stateful.place import Place
from evoweights.testing.strategies import segments_of
from evoweights.traits import Traits
from evoweights_classic.pso import PSO


@dataclass(frozen=True)
class Silent(Plain):
    """Claims nothing."""

    traits: ClassVar[Traits] = Traits()

    def rewrite(self, target, source, noise):
        return dict(target)


@dataclass(frozen=True)
class Ranked(Silent):
    """Noise of a rank."""

    traits: ClassVar[Traits] = Traits("mutation", stochastic=True, rank="rank", scale="scale")
    rank: int = 1
    scale: float = 1.0


@dataclass(frozen=True)
class Settled(Silent):
    """Draws nothing."""

    traits: ClassVar[Traits] = Traits("mutation", stochastic=False, rate="rate", scale="rate", law="normal")
    rate: float = 1.0


@dataclass(frozen=True)
class Elsewhere(Descends):
    """Is for other modules."""

    def check(self, mounted):
        raise UsageError("improve elsewhere: it needs a module of another kind.")


WHY = {
    Silent(): {
        "G05": "does not say whether it is stochastic",
        "G07": "does not claim tensor_wise",
        "G08": "no gene kernel",
        "G15": "does not claim gene_wise",
        "G20": "does not claim memory_factor",
        "P01": "is no swarm",
        "X01": "does not claim copies",
        "M01": "claims neither rate nor scale",
    },
    Ranked(): {
        "G09": "is stochastic",
        "G10": "draws its noise by the names of tensors",
        "M04-independent": "claims rank: genes of a row share a factor",
    },
    Settled(): {"M04-independent": "is not stochastic"},
    PSO(): {"X03": "is a swarm: see P", "P03": "does not claim inertia"},
    PSO(inertia=0.5): {"P12": "keeps a velocity"},
}


@pytest.mark.parametrize("operator", WHY, ids=repr)
def test_why_a_rule_is_not_checked_of_an_operator_is_said(operator):
    said = {each.rule.id: each.skipped() for each in operator_checks(operator, profile="quick")}
    assert {rule: said[rule] for rule in WHY[operator]} == WHY[operator]


def test_why_a_rule_is_not_checked_of_an_improver_is_said():
    said = {each.rule.id: each.skipped() for each in improver_checks(Descends(), profile="quick")}
    assert said["A10"] == "cannot replay" and not said["G04"]
    said = {each.rule.id: each.skipped() for each in improver_checks(Elsewhere(), profile="quick")}
    needs = "cannot work on the module of the kit: improve elsewhere: it needs a module of another kind."
    assert said["G04"] == needs and said["A10"] == "cannot replay"


def test_what_a_rule_was_tried_on_is_said_in_words():
    draw = Draw(awkward_layout(), share=0.0)
    assert str(draw).endswith(" and 8 more in torch.float32, 3 individuals, moderate genes, seed 1")
    assert "30% extreme genes" in str(dataclasses.replace(draw, share=0.3))


SHARING = {"population": SharedFirst(size=3), "improve": [Wander()], "vary": [Blend(scope="all")]}


@pytest.fixture
def place(tmp_path):
    found = Place(engine_machine(SHARING).config, tmp_path)
    found.open("host").score(-1)
    yield found
    found.drop()


def fewer_genes(world, monkeypatch):
    true = type(world.population).row
    monkeypatch.setattr(type(world.population), "row", lambda self, row, name="weights": true(self, row, name)[1:])


def nan_is_best(world, monkeypatch):
    world.champion = dataclasses.replace(world.champion, fitness=float("nan"))


def fewer_individuals(world, monkeypatch):
    world.population.individuals.pop()


def ids_used_twice(world, monkeypatch):
    world.population.next_id = 0


def an_unshared_parameter(world, monkeypatch):
    first = next(world.mounted.module.parameters())
    first.data = first.data.clone()


def a_tensor_of_both(world, monkeypatch):
    monkeypatch.setattr(world.population, "layout", world.mounted.shared.layout)


BROKEN = {
    fewer_genes: "EW-R01: tensors of ",
    fewer_individuals: "EW-R01: 2 individuals in a population of 3",
    nan_is_best: " is the best, with loss nan or with genes that are NaN",
    ids_used_twice: "EW-R04: individuals [0, 1, 2] and the next 0, where the lineage has [0, 1, 2]",
    an_unshared_parameter: " is no longer the shared one",
    a_tensor_of_both: " is shared and owned as well",
}


def test_a_run_as_it_should_be_breaks_no_rule(place):
    assert list(broken_rules(place, Watched.of(place.running.world), has_saved=False)) == []


@pytest.mark.parametrize("fault", BROKEN)
def test_a_run_that_breaks_a_rule_is_said_to(place, monkeypatch, fault):
    watched = Watched.of(place.running.world)
    fault(place.running.world, monkeypatch)
    assert any(BROKEN[fault] in each for each in broken_rules(place, watched, has_saved=False))


@pytest.mark.parametrize(("record", "said"), [
    ({"id": 1, "parents": [0]}, "EW-R04: lineage.jsonl has individual 1 of parents [0] after [0, 1, 2]"),
    ({"id": -1, "parents": [0]}, "EW-R04: individual -1 is no younger than its parents [0]"),
])  # fmt: skip
def test_a_lineage_that_cannot_be_is_said_to(place, monkeypatch, record, said):
    monkeypatch.setattr(type(place.running.run), "read_lineage", lambda self: iter([record]))
    assert said in list(broken_rules(place, Watched.of(place.running.world), has_saved=False))


def test_saved_weights_that_do_not_verify_or_lie_elsewhere_are_said_to(place):
    watched = dataclasses.replace(Watched.of(place.running.world), shared=0)
    found = list(broken_rules(place, watched, has_saved=True))
    assert found[0] == "EW-R07: no checkpoint verifies: []"
    assert "EW-R05: the shared weights lie in another storage than at the start" in found


def test_an_element_that_is_no_gene_is_said_to_be_padding():
    layout = Layout(segments_of([("matrix", (3, 1)), ("matrix", (3, 1))]), torch.float32)
    wanted = torch.zeros(layout.size)
    gap = next(n for n in range(layout.size) if all(not s.start <= n < s.start + s.count for s in layout.segments))
    for place, where in ((gap, f"element {gap}, which is padding, is 1, not 0"), (0, "gene 0 of matrix.0 is 1, not 0")):
        found = wanted.clone()
        found[place] = 1.0
        assert list(differences(bits(found), bits(wanted), counted=(), layout=layout, where=())) == [where]
