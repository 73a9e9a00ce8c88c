"""What an update does to the weights, against the formula written in float64 or against torch."""

import math

import pytest
import torch
from strategies_under_test import Told, Vector, genes, moment, mounted_on, place, quadratic
from torch import nn

from evoweights.seeds import Noise, seeded
from evoweights_es import chunk, decay, perturbation
from evoweights_es.chunk import Chunk
from evoweights_es.decay import ANCHOR
from evoweights_es.es import EvolutionStrategy
from evoweights_es.gaussian import Gaussian
from evoweights_es.updates import STEPS, Adam, Momentum, Plain, Step

COUNT = 3000
COEFFICIENTS = [0.3, 0.0, -0.7]
UPDATES = [Plain(), Momentum(momentum=0.5), Adam(beta1=0.6, beta2=0.9)]
named = {"ids": lambda each: each.name}


def step_of(found, number, *, rate=0.1, rounding=None, noise=None):
    return Step(found.own, "own", noise or Gaussian(), COEFFICIENTS, rate, number, place(number), rounding)


def estimate_of(found, number, noise=None):
    """``sum_i c_i eps_i`` of a step."""
    out = torch.zeros(found.own.layout.size)
    segment = found.own.layout.segments[0]
    whole = Chunk(found.own, "own", segment, 0, segment.count)
    (noise or Gaussian()).add_estimate_(out[: segment.count], whole, COEFFICIENTS, place=place(number))
    return out


def after(update, steps=5, *, dtype=torch.float32):
    """The individual after so many steps, its start, and the estimates of the steps."""
    found = mounted_on(Vector(COUNT), dtype=dtype, slots=update.slots)
    start, estimates = found.own.weights.clone(), []
    for number in range(1, steps + 1):
        estimates.append(estimate_of(found, number))
        update.apply_(step_of(found, number))
    return found, start, estimates


def test_plain_adds_the_rate_times_the_estimate():
    found, start, estimates = after(Plain())
    expected = start.double() + 0.1 * sum(each.double() for each in estimates)
    torch.testing.assert_close(found.own.weights.double(), expected, rtol=1e-6, atol=1e-6)


def test_momentum_is_the_heavy_ball():
    found, start, estimates = after(Momentum(momentum=0.5))
    x, velocity = start.double(), torch.zeros(len(start)).double()
    for each in estimates:
        velocity = 0.5 * velocity + each.double()
        x = x + 0.1 * velocity
    torch.testing.assert_close(found.own.weights.double(), x, rtol=1e-6, atol=1e-6)


def test_adam_is_that_of_torch_on_the_negative_estimate():
    found, start, estimates = after(Adam(beta1=0.6, beta2=0.99, epsilon=1e-8))
    parameter = nn.Parameter(start.clone())
    optimizer = torch.optim.Adam([parameter], lr=0.1, betas=(0.6, 0.99), eps=1e-8)
    for each in estimates:
        parameter.grad = -each
        optimizer.step()
    torch.testing.assert_close(found.own.weights, parameter.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("update", UPDATES[1:], **named)
def test_estimates_are_made_a_chunk_at_a_time_and_the_size_of_chunks_changes_no_bit(update, monkeypatch):
    whole, _, _ = after(update)
    sizes, make = [], Gaussian.add_estimate_

    def watched(self, out, *args, **kwargs):
        sizes.append(len(out))
        make(self, out, *args, **kwargs)

    monkeypatch.setattr(Gaussian, "add_estimate_", watched)
    monkeypatch.setattr(chunk, "CHUNK", 1024)
    found = mounted_on(Vector(COUNT), slots=update.slots)
    for number in range(1, 6):
        update.apply_(step_of(found, number))
    assert genes(found) == genes(whole)
    assert max(sizes) == 1024 and len(sizes) == 5 * math.ceil(COUNT / 1024)


class Two(nn.Module):
    """One matrix of its own and one that all individuals share."""

    def __init__(self):
        super().__init__()
        with seeded(Noise(1, "two")):
            self.own, self.shared = nn.Parameter(torch.randn(1, 20)), nn.Parameter(torch.randn(1, 20))

    def forward(self):
        return torch.cat([self.own.flatten(), self.shared.flatten()])


def test_the_shared_part_counts_the_steps_of_all_individuals_and_is_corrected_by_them():
    """A second individual's first step is not the first of the moments that all share."""
    strategy = EvolutionStrategy(members=8, check_every=0, update=Adam(), learning_rate=1e-3)
    found = mounted_on(Two(), shared=["shared"], slots=strategy.slots)
    for step in range(1, 6):
        strategy.step(found, Told(quadratic), moment(step))
    found.own.counters = {}  # another individual is mounted, which has taken no step
    for slot in found.own.slots.values():
        slot.zero_()
    numbers, apply = [], Adam.apply_

    def watched(self, step):
        numbers.append((step.label, step.number))
        apply(self, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Adam, "apply_", watched)
        strategy.step(found, Told(quadratic), moment(6))
    assert numbers == [("own", 1), ("shared", 6)]
    assert (found.own.counters[STEPS], found.shared.counters[STEPS]) == (1, 6)


@pytest.mark.parametrize("rate", [0.0, 1e-2])
@pytest.mark.parametrize("settings", [{}, {"anchor": 0.1}, {"weight_decay": 0.1}], ids=str)
@pytest.mark.parametrize("update", UPDATES, **named)
def test_genes_that_do_not_change_keep_their_bytes(update, settings, rate):
    """Zeros of either sign stay what they are: where the mask leaves genes out, and everywhere at a rate of 0."""
    density = 1.0 if rate == 0.0 else 0.25
    noise = Gaussian(density=density)
    strategy = EvolutionStrategy(
        members=4, check_every=0, learning_rate=rate, update=update, perturbation=noise, **settings
    )
    found = mounted_on(Vector(4096), slots=strategy.slots)
    found.own.weights.fill_(-0.0)
    strategy.step(found, Told(lambda module: (module().double() - 1).square().sum()[None]), moment())
    changed = int((found.own.weights != 0).sum())
    assert int(torch.signbit(found.own.weights[found.own.weights == 0]).sum()) == 4096 - changed
    assert changed == 0 if rate == 0.0 else 0.2 < changed / 4096 < 0.3


@pytest.mark.parametrize("update", UPDATES, **named)
def test_s04_equal_fitness_changes_nothing_in_later_steps_either(update):
    """A velocity and moments go on without an estimate if they are let."""
    strategy = EvolutionStrategy(members=4, check_every=0, learning_rate=0.1, update=update)
    found = mounted_on(Vector(COUNT), slots=strategy.slots)
    for step in (1, 2):
        strategy.step(found, Told(quadratic), moment(step))
    before, slots = genes(found), {name: each.clone() for name, each in found.own.slots.items()}
    strategy.step(found, Told(lambda module: module().new_full((2,), 3.3333333)), moment(3))
    assert genes(found) == before
    assert all(torch.equal(found.own.slots[name], each) for name, each in slots.items())


@pytest.mark.parametrize("update", UPDATES, **named)
def test_bfloat16_weights_move_by_steps_far_below_their_precision_on_average(update):
    """1/100 of the distance between neighbours: to nearest nothing would ever move; at random the mean does."""
    found = mounted_on(Vector(1 << 14), dtype=torch.bfloat16, slots=update.slots)
    found.own.weights.fill_(1.0)
    noise, far = _Ones(), 1e-2 * 2**-7
    rate = far / abs(sum(COEFFICIENTS))  # the estimate is the sum of the coefficients everywhere
    nearest = found.own.weights.clone()
    update.apply_(step_of(found, 1, rate=rate if update.name != "adam" else far, noise=noise, rounding=None))
    assert torch.equal(found.own.weights, nearest)
    for slot in found.own.slots.values():
        slot.zero_()
    update.apply_(step_of(found, 1, rate=rate if update.name != "adam" else far, noise=noise, rounding=77))
    moved = (found.own.weights[: 1 << 14].double() - 1).mean().item()
    assert moved == pytest.approx(-far, rel=0.3)


class _Ones(Gaussian):
    """Noise that is 1 everywhere, so that an estimate is known."""

    def add_estimate_(self, out, chunk, coefficients, *, place):
        out += sum(coefficients)

    def update_plain_(self, part, label, coefficients, *, place, rounding):
        perturbation.Perturbation.update_plain_(self, part, label, coefficients, place=place, rounding=rounding)


def test_the_anchor_is_the_weights_before_the_first_step_and_pulls_by_its_share():
    strategy = EvolutionStrategy(members=4, check_every=0, learning_rate=0.5, anchor=0.4)
    found = mounted_on(Vector(COUNT), slots=strategy.slots)
    start = found.own.weights.clone()
    for step in (1, 2, 3):
        strategy.step(found, Told(quadratic), moment(step))
    assert torch.equal(found.own.slots[ANCHOR], start)
    x = found.own.weights.clone()
    decay.towards_start_(step_of(found, 4, rate=0.5), 0.4)
    torch.testing.assert_close(found.own.weights, x - 0.2 * (x - start))


def test_the_start_is_kept_only_if_there_is_an_anchor():
    assert [each.name for each in EvolutionStrategy(anchor=0.1).slots] == [ANCHOR]
    assert not EvolutionStrategy().slots
    assert EvolutionStrategy(anchor=0.1).slots[0].role == "state"
    assert all(each.role == "optimizer" for update in UPDATES for each in update.slots)
