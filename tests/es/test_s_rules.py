"""The rules of an evolution strategy's step, on every preset and target. Test names begin with the rule."""

import dataclasses

import pytest
import torch
from strategies_under_test import Told, genes, moment, mounted_on

from engine_runs import config_in
from evoweights.seeds import Noise, seeded
from evoweights_es.chunk import Chunk
from evoweights_es.estimators import Antithetic
from evoweights_es.member import Place
from evoweights_es.presets import ALL
from evoweights_es.shaping import CentredRank
from evoweights_es.updates import Plain

NAMES = [each.name for each in ALL]
BACKENDS = ["reference", "cpu", "triton"]
TRANSFORMS = {"affine": lambda r: 3 * r + 7, "tiny": lambda r: r * 1e-30, "atan": torch.atan, "exp": torch.exp}
every_preset = pytest.mark.parametrize("name", NAMES)
every_target = pytest.mark.parametrize("backend", BACKENDS)


class Layer(torch.nn.Module):
    """A matrix and a vector, with which every perturbation can be used."""

    def __init__(self):
        super().__init__()
        with seeded(Noise(3, "layer")):
            self.layer = torch.nn.Linear(40, 30)

    def forward(self, x):
        return self.layer(x.to(self.layer.weight.dtype))


class Rows(Told):
    """Two items, a function of the squared rows of the module's output each; ``change`` is done to what they are."""

    def __init__(self, change=lambda losses: losses):
        super().__init__(None)
        self.change = change

    @torch.no_grad()
    def scores(self, copies=1):
        inputs = torch.linspace(-1, 1, 80).view(2, 40).repeat(copies, 1)
        return self.change(self.mounted.module(inputs).double().square().mean(1))


@pytest.fixture(scope="module")
def strategy_of(tmp_path_factory):
    """Gives a preset with six members, without checks, with some settings changed."""
    folder, changes = tmp_path_factory.mktemp("presets"), {"name": "es", "members": 6, "check_every": 0}
    found = {
        name: config_in(folder, {"preset": name, "improve": [changes], "vary": []}).improve[0].component
        for name in NAMES
    }
    return lambda name, **settings: dataclasses.replace(found[name], **settings)


def individual(strategy, dtype=torch.float32):
    return mounted_on(Layer(), dtype=dtype, slots=strategy.slots)


def after(strategy, feed, *, steps=1, dtype=torch.float32, backend="auto"):
    """The individual after so many steps, and its weights before."""
    found = individual(strategy, dtype)
    before = found.own.weights.clone()
    for number in range(1, steps + 1):
        strategy.step(found, feed, moment(number, backend=backend))
    return found, before


@every_preset
def test_targets_give_the_same_bits(strategy_of, name):
    strategy = strategy_of(name)
    ends = {genes(after(strategy, Rows(), steps=2, backend=backend)[0]) for backend in BACKENDS}
    assert len(ends) == 1


@pytest.mark.parametrize(
    "change", [lambda r: 3 * r + 7, lambda r: r * 1e-30, torch.atan, torch.exp], ids=["affine", "tiny", "atan", "exp"]
)
@every_preset
def test_s01_ranks_make_the_step_the_same_under_any_increasing_transform(strategy_of, name, change):
    """With one item for a member: its mean over items is no increasing function of the items' transforms."""
    strategy = strategy_of(name, shaping=CentredRank(), learning_rate=1e-2)

    def mean(losses):
        return losses.view(-1, 2).mean(1)

    plain, _ = after(strategy, Rows(mean))
    assert genes(after(strategy, Rows(lambda losses: change(mean(losses))))[0]) == genes(plain)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@every_target
@every_preset
def test_s04_equal_fitness_changes_no_byte(strategy_of, name, backend, dtype):
    """Decay is no update from fitness, so it is left out here."""
    strategy = strategy_of(name, weight_decay=0.0, learning_rate=1.0)
    found, before = after(strategy, Rows(lambda r: torch.full_like(r, 3.3333333)), dtype=dtype, backend=backend)
    assert torch.equal(found.own.weights.view(torch.uint8), before.view(torch.uint8))


@every_preset
def test_s05_losses_swapped_within_pairs_go_the_other_way(strategy_of, name):
    strategy = strategy_of(name, estimator=Antithetic(), update=Plain(), weight_decay=0.0, learning_rate=1e-2)
    members, moved = strategy.estimator.members(6), []
    for losses in ([1.0, 3.0, 2.0, 7.0, 5.0, 4.0], [3.0, 1.0, 7.0, 2.0, 4.0, 5.0]):
        items = -torch.tensor(losses, dtype=torch.float64)[:, None]
        found = individual(strategy)
        found.own.weights.zero_()  # so that what is added is not rounded to what is there
        strategy.replay(found, moment(), {"weights": strategy.shaping.weights(items, members).tolist()})
        moved.append(found.own.weights.clone())
    assert float(moved[0].norm()) > 0
    torch.testing.assert_close(moved[0], -moved[1], rtol=1e-5, atol=1e-6 * float(moved[0].abs().max()))


@every_preset
def test_s05_pairs_of_equal_fitness_count_nothing(strategy_of, name):
    strategy = strategy_of(name, estimator=Antithetic(), update=Plain(), weight_decay=0.0)
    members = strategy.estimator.members(6)
    items = -torch.tensor([1.0, 1.0, 2.0, 7.0, 4.0, 4.0], dtype=torch.float64)[:, None]
    coefficients = strategy.estimator.coefficients(strategy.shaping.weights(items, members).tolist(), members)
    assert coefficients[0] == coefficients[2] == 0 != coefficients[1]


@every_target
@every_preset
def test_s06_the_noise_of_the_update_is_the_noise_that_was_scored(strategy_of, name, backend):
    """With a linear loss, a member's score less the centre's is sigma times its noise along the slope."""
    strategy = strategy_of(name)
    found, sigma = individual(strategy), 1e-2
    where = Place(moment().noise, moment().fixed, backend)
    feed = Linear().draw(found)
    members, segments = strategy.estimator.members(6), strategy.perturbation.segments(found.own)
    scores = strategy.perturbation.scores(found, feed, members, sigma=sigma, place=where).mean(1)
    centre = float(feed.scores().mean())
    for member, score in zip(members, scores.tolist(), strict=True):
        expected = 0.0
        for segment in segments:
            noise = torch.zeros(segment.count)
            chosen = [0.0] * member.direction + [1.0]
            strategy.perturbation.add_estimate_(
                noise, Chunk(found.own, "own", segment, 0, len(noise)), chosen, place=where
            )
            expected += float(noise.double() @ feed.slopes[segment.name].flatten())
        assert (score - centre) / (member.sign * sigma) == pytest.approx(expected, rel=1e-3, abs=1e-3)


class Linear(Rows):
    """The mean output of a layer on two inputs: linear in its weights, with the slopes by name."""

    def draw(self, mounted):
        super().draw(mounted)
        parameters = dict(mounted.module.named_parameters())
        with torch.enable_grad():
            for each in parameters.values():
                each.requires_grad_(True)
            loss = mounted.module(torch.linspace(-1, 1, 80).view(2, 40)).mean()
            found = torch.autograd.grad(loss, list(parameters.values()))
        self.slopes = {name: each.double() for name, each in zip(parameters, found, strict=True)}
        return self

    @torch.no_grad()
    def scores(self, copies=1):
        inputs = torch.linspace(-1, 1, 80).view(2, 40).repeat(copies, 1)
        return self.mounted.module(inputs).double().mean(1)


@every_preset
def test_s08_the_loss_falls(strategy_of, name):
    """With a learning rate for this small task: those of the presets are for language models."""
    strategy = strategy_of(name, members=32, sigma=1e-2, learning_rate=2e-2, by_sigma=name == "mezo")
    feed = Rows()
    start = float(feed.draw(individual(strategy)).scores().mean())
    after(strategy, feed, steps=8)
    assert float(feed.scores().mean()) < 0.9 * start


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@every_preset
def test_s09_a_learning_rate_of_zero_changes_no_byte(strategy_of, name, dtype):
    found, before = after(strategy_of(name, learning_rate=0.0), Rows(), dtype=dtype)
    assert torch.equal(found.own.weights.view(torch.uint8), before.view(torch.uint8))


@every_preset
def test_s10_a_constant_more_on_every_loss_changes_nothing(strategy_of, name):
    strategy = strategy_of(name, learning_rate=1e-3)
    plain, before = after(strategy, Rows())
    more, _ = after(strategy, Rows(lambda r: r + 4.0))
    moved = float((plain.own.weights - before).abs().max())
    torch.testing.assert_close(more.own.weights, plain.own.weights, rtol=1e-5, atol=1e-3 * moved)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@every_target
@every_preset
def test_s12_scoring_members_changes_no_byte(strategy_of, name, backend, dtype):
    strategy = strategy_of(name)
    found = individual(strategy, dtype)
    before = genes(found)
    where = Place(moment().noise, moment().fixed, backend)
    members = strategy.estimator.members(6)
    feed = Rows().draw(found)
    centre = feed.scores()
    strategy.perturbation.scores(found, feed, members, sigma=0.5, place=where)
    assert genes(found) == before and torch.equal(feed.scores(), centre)
