"""Rules that no operator can break through its interface: the engine is broken instead, under an operator that is sound."""

import dataclasses

import pytest
import torch

from evoweights import variation
from evoweights.population import Population
from evoweights.testing.checks import form, numbers, places, repeating
from evoweights.testing.grounds import Draw, awkward_layout
from evoweights_classic import Crossover, Mutation

SOUND = Crossover(scope="all")
MOVING = Mutation(scope="all", rate=0.5)
DRAW = Draw(awkward_layout(torch.float32))


def rewriting(monkeypatch, name, change):
    """Let the engine do something else to a buffer of every individual that it rewrites."""
    true = Population.rewritten

    def careless(self, row, **told):
        self.buffers[row][name] = change(self.buffers[row][name])
        return true(self, row, **told)

    monkeypatch.setattr(Population, "rewritten", careless)


def test_a_whole_number_that_is_cast_is_noticed(monkeypatch):
    """G13."""
    rewriting(monkeypatch, "count", lambda count: count.float())
    with pytest.raises(AssertionError, match=r"a buffer of individual \d was cast"):
        form.buffers(SOUND, "reference", DRAW)
    said = "the form of a tensor changed: individual 1, buffer.count, dtype: torch.float32, not torch.int64"
    with pytest.raises(AssertionError, match=said):
        form.form(SOUND, "reference", DRAW)


def test_another_shape_is_told_by_individual_tensor_and_dimension(monkeypatch):
    """G01."""
    rewriting(monkeypatch, "running_mean", lambda mean: mean[:2])
    said = "the form of a tensor changed: individual 1, buffer.running_mean, shape, dimension 0: 2, not 3"
    with pytest.raises(AssertionError, match=said):
        form.form(SOUND, "reference", DRAW)


def test_another_order_of_names_is_noticed(monkeypatch):
    """G01."""
    true = Population.rewritten

    def careless(self, row, **told):
        self.buffers[row] = dict(reversed(self.buffers[row].items()))
        return true(self, row, **told)

    monkeypatch.setattr(Population, "rewritten", careless)
    with pytest.raises(AssertionError, match=r"tensors have other names or another order: tensor .*buffer"):
        form.form(SOUND, "reference", DRAW)


def test_a_whole_number_that_changes_is_noticed(monkeypatch):
    """G13."""
    rewriting(monkeypatch, "count", lambda count: count + 1)
    with pytest.raises(AssertionError, match="a buffer changed: individual 1, count"):
        form.buffers(SOUND, "reference", DRAW)


def test_counters_that_are_shared_are_noticed(monkeypatch):
    """G03."""
    true = variation.carry_optimizer_state_

    def sharing(population, pair, source, policy):
        true(population, pair, source, policy)
        population.individuals[pair.target].counters = population.individuals[pair.source].counters

    monkeypatch.setattr(variation, "carry_optimizer_state_", sharing)
    with pytest.raises(AssertionError, match="counters are shared"):
        form.aliasing(SOUND, "reference", DRAW)


def test_a_child_that_lies_where_its_parent_lies_is_noticed(monkeypatch):
    """G03."""
    true = Population.rewritten

    def aliased(self, row, **told):
        self.memory[row]["copy"] = self.memory[0]["copy"] = torch.ones(3)
        return true(self, row, **told)

    monkeypatch.setattr(Population, "rewritten", aliased)
    with pytest.raises(AssertionError, match="two tensors share memory"):
        form.aliasing(SOUND, "reference", DRAW)


class Follows(torch.Tensor):
    """A tensor that is set to 0 with another one, though it lies elsewhere."""

    followers = ()

    def zero_(self):
        for each in self.followers:
            each.zero_()
        return super().zero_()


def test_a_child_that_changes_with_its_parent_is_noticed(monkeypatch):
    """G03."""
    true = Population.tensors

    def following(self, index):
        found = true(self, index)
        if index == 0:
            found["weights"] = found["weights"].as_subclass(Follows)
            found["weights"].followers = (self.row(1),)
        return found

    monkeypatch.setattr(Population, "tensors", following)
    with pytest.raises(AssertionError, match="a child changed with its parent: child 0, weights"):
        form.aliasing(SOUND, "reference", DRAW)


def launching(monkeypatch, after):
    """Let something else happen to a call once it is launched."""
    true = form.apply_

    def careless(calls, **told):
        true(calls, **told)
        after(calls[0])

    monkeypatch.setattr(form, "apply_", careless)


def test_a_launch_that_writes_what_it_reads_is_noticed(monkeypatch):
    """G02."""
    launching(monkeypatch, lambda call: call.tensors["other"].zero_())
    with pytest.raises(
        AssertionError, match=r"what the kernel only reads changed: other, bytes: gene 0 of \S+ is 0, not "
    ):
        form.inputs(SOUND, "reference", DRAW)


def test_a_launch_that_only_counts_as_writing_is_noticed(monkeypatch):
    """G02."""
    launching(monkeypatch, lambda call: call.tensors["other"].add_(0))
    with pytest.raises(AssertionError, match=r"what the kernel only reads changed: other, version: 1, not 0"):
        form.inputs(SOUND, "reference", dataclasses.replace(DRAW, share=0.0))


def test_a_launch_that_writes_its_scalars_is_noticed(monkeypatch):
    """G02."""
    launching(monkeypatch, lambda call: call.scalars.clear())
    with pytest.raises(AssertionError, match=r"scalars or streams changed: scalars: \{\}, not \{"):
        form.inputs(SOUND, "reference", DRAW)


def test_a_state_that_is_not_put_back_is_noticed(monkeypatch):
    """G21."""
    true = Population.restore
    monkeypatch.setattr(
        Population, "restore", lambda self, row, saved: true(self, row, saved | {"weights": saved["weights"] + 1.0})
    )
    with pytest.raises(AssertionError, match="state changes on its way through safetensors: individual 0, weights"):
        repeating.remembered(SOUND, "reference", DRAW)


def forgetful(launch):
    def apply_(calls, *, seed, live=None, first_tile=0, backend="auto"):
        return launch(calls, seed=seed + (live is not None and len(live)), live=live, backend=backend)

    return apply_


def test_noise_that_starts_anew_in_every_launch_is_noticed(monkeypatch):
    """G08."""
    monkeypatch.setattr(places, "apply_", forgetful(places.apply_))
    with pytest.raises(AssertionError, match="genes in parts become something else"):
        places.shards(SOUND, "reference", Draw(awkward_layout(torch.bfloat16)))


def test_another_rounding_is_noticed(monkeypatch):
    """G17."""
    monkeypatch.setattr(numbers, "round_to_bfloat16", lambda value, words: value.bfloat16() * 2)
    with pytest.raises(AssertionError, match="bfloat16 is not float32 rounded to nearest"):
        numbers.rounded(SOUND, "reference", Draw(awkward_layout(torch.bfloat16)))


def towards_zero(wide):
    return (wide.view(torch.int32) & -65536).view(torch.float32)


def downwards(wide):
    return ((wide.view(torch.int32) + (wide < 0.0).int() * 65535) & -65536).view(torch.float32)


@pytest.mark.parametrize(("rounded", "said"), [
    (lambda wide: 2.0 * wide, "bfloat16 is none of the two neighbours"),
    (towards_zero, "rounding is biased: by "),
    (downwards, "rounding is biased: by "),
])  # fmt: skip
def test_stochastic_rounding_that_is_none_is_noticed(monkeypatch, rounded, said):
    """G17."""
    wide, (vary_, varied) = [], (numbers.vary_, numbers.varied)

    def remembering(population, operator, **told):
        made = vary_(population, operator, **told)
        wide.append(population.row(1).clone())
        return made

    def careless(operator, draw, backend):
        made = varied(operator, draw, backend)
        if operator.rounding == "stochastic":
            made.row(1).copy_(rounded(wide[-1]))
        return made

    monkeypatch.setattr(numbers, "vary_", remembering)
    monkeypatch.setattr(numbers, "varied", careless)
    with pytest.raises(AssertionError, match=said):
        numbers.rounded(MOVING, "reference", Draw(awkward_layout(torch.bfloat16)))
