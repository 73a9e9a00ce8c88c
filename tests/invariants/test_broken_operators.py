"""A check that cannot fail checks nothing: each general rule is shown an operator that breaks it, and notices."""

import itertools
import os
from dataclasses import dataclass
from typing import ClassVar

import general_checks as check
import pytest
import torch
from evoweights.testing.grounds import Draw, awkward_layout

from evoweights.operators import GeneOperator, TensorOperator
from evoweights.population import Population
from evoweights_classic import Crossover
from evoweights_kernels import Gene, Scalar, gene_kernel


@gene_kernel
def copied(x: Gene, leader: Gene):
    return leader


@gene_kernel
def overflowing(x: Gene, leader: Gene):
    return x + (leader * 1e30 - x * 1e30) * 1e-30


@gene_kernel
def cancelling(x: Gene, leader: Gene):
    return (x + 1e6) - 1e6


@gene_kernel
def pulled(x: Gene, leader: Gene, pull: Scalar):
    return x + pull * (leader - x)


@dataclass(frozen=True)
class Kernel(GeneOperator):
    """A gene operator whose kernel the test chooses."""

    name: ClassVar[str] = "broken"
    source: ClassVar[str] = "a test"

    kernel: object = copied
    pull: float = 0.25


@dataclass(frozen=True)
class Scripted(Kernel):
    """And with a side effect where it is asked for its tile scalars; that gets the target's tensor."""

    effect: object = None

    def tile_scalars(self, layout, target):
        self.effect(layout, target)
        return {}


@dataclass(frozen=True)
class Counting(Kernel):
    """Its coefficient depends on how often it was used."""

    uses: ClassVar = itertools.count(1)

    def scalars(self):
        return {"pull": 1.0 / next(self.uses)}


@dataclass(frozen=True)
class Twice(GeneOperator):
    """Its setting changes when it is constructed from what it says it is."""

    name, source, kernel = "twice", "a test", pulled

    pull: float = 0.25

    def __post_init__(self):
        object.__setattr__(self, "pull", self.pull / 2)


@dataclass(frozen=True)
class Plain(TensorOperator):
    """An operator in plain torch that does what the test says."""

    name: ClassVar[str] = "plain"
    source: ClassVar[str] = "a test"

    script: object = None

    def rewrite(self, target, source, noise):
        return self.script(target, source, noise)


def sequential(target, source, noise):
    """One generator for all tensors: what a tensor gets depends on those before it."""
    generator = noise.generator()
    return {name: each + torch.randn(each.shape, generator=generator).to(each.dtype) for name, each in target.items()}


def global_noise(target, source, noise):
    return {name: (each + torch.randn(each.shape)).to(each.dtype) for name, each in target.items()}


def by_name(target, source, noise):
    return {name: (each + len(name) % 7).to(each.dtype) for name, each in target.items()}


def measuring(target, source, noise):
    return {name: each * 0.5 if each.numel() and each.mean().item() > 0 else each for name, each in target.items()}


def compacting(target, source, noise):
    return {name: each - each[each > 0].numel() for name, each in target.items()}


def write_beside(layout, target):
    target._base[0].mul_(0.5)


def write_outside(layout, target):
    target[layout.segments[-1].start :] = 1.0


def write_padding(layout, target):
    target[1000:1024] += 1.0


def set_environment(layout, target):
    os.environ["EVOWEIGHTS_TEST"] = str(int(os.environ.get("EVOWEIGHTS_TEST", "0")) + 1)


def spread(layout, target):
    """Centres a tensor that has lost a gene to NaN, and loses all of it."""
    target.sub_(target.mean())


def look_around(layout, target):
    """Lets the other individuals decide, by way of the table that all rows are views of."""
    target.add_(target._base[-1].clamp(-1, 1))


BROKEN = {
    "G02 writes its source": (check.inputs, Scripted(effect=write_beside)),
    "G04 counts its uses": (check.repeatable, Counting(kernel=pulled)),
    "G06 draws from torch's generator": (check.quiet, Plain(script=global_noise)),
    "G06 sets the environment": (check.quiet, Scripted(effect=set_environment)),
    "G07 one generator for all tensors": (check.subset, Plain(script=sequential)),
    "G09 reads names": (check.names, Plain(script=by_name)),
    "G14 infinity minus infinity": (check.finite, Kernel(kernel=overflowing)),
    "G15 centres its target": (check.contained, Scripted(effect=spread)),
    "G16 writes frozen tensors": (check.outside, Scripted(effect=write_outside)),
    "G16 writes padding": (check.outside, Scripted(effect=write_padding)),
    "G17 cancels": (check.exact, Kernel(kernel=cancelling)),
    "G19 looks at a mean": (check.waiting, Plain(script=measuring)),
    "G19 chooses by a condition": (check.waiting, Plain(script=compacting)),
    "G21 is not what it says": (check.remembered, Twice()),
    "G23 instances share a counter": (check.threads, Counting(kernel=pulled)),
    "G24 counts its uses": (
        lambda *given: check.neutral(*given, identities=[Crossover(rate=0.0)]),
        Counting(kernel=pulled),
    ),
    "G25 looks at other individuals": (check.alone, Scripted(effect=look_around)),
}


@pytest.fixture(autouse=True)
def same_environment(monkeypatch):
    monkeypatch.setenv("EVOWEIGHTS_TEST", "0")


def broken(operator):
    return type(operator)(**{**vars(operator), "scope": "all"})


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_operator_is_noticed(what):
    rule, operator = BROKEN[what]
    with pytest.raises(AssertionError):
        rule(broken(operator), "cpu" if what.startswith("G19") else "reference", Draw(awkward_layout(torch.float32)))


# What the engine itself must not do, with an operator that is sound


def test_a_population_that_changes_its_form_is_noticed(monkeypatch):
    """G01, G13: a whole number is cast."""
    true = Population.rewritten

    def careless(self, row, **told):
        self.buffers[row]["count"] = self.buffers[row]["count"].float()
        return true(self, row, **told)

    monkeypatch.setattr(Population, "rewritten", careless)
    with pytest.raises(AssertionError):
        check.form(Crossover(scope="all"), "reference", Draw(awkward_layout(torch.float32)))


def test_counters_that_are_shared_are_noticed(monkeypatch):
    """G03."""
    from evoweights import variation

    true = variation.carry_optimizer_state_

    def sharing(population, pair, source, policy):
        true(population, pair, source, policy)
        population.individuals[pair.target].counters = population.individuals[pair.source].counters

    monkeypatch.setattr(variation, "carry_optimizer_state_", sharing)
    with pytest.raises(AssertionError):
        check.aliasing(Crossover(scope="all"), "reference", Draw(awkward_layout(torch.float32)))


@pytest.mark.parametrize("rule", [check.shards, check.rounded], ids=lambda each: each.__name__)
def test_noise_that_starts_anew_in_every_launch_is_noticed(rule, monkeypatch):
    """G08, G17."""
    launch = check.apply_

    def forgetful(calls, *, seed, live=None, first_tile=0, backend="auto"):
        return launch(calls, seed=seed + (live is not None and len(live)), live=live, backend=backend)

    monkeypatch.setattr(check, "apply_", forgetful)
    if rule is check.rounded:
        monkeypatch.setattr(check, "round_to_bfloat16", lambda value, words: value.bfloat16() * 2)
    with pytest.raises(AssertionError):
        rule(Crossover(scope="all"), "reference", Draw(awkward_layout(torch.bfloat16)))
