import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evoweights.errors import UsageError
from evoweights.seeds import Noise, seeded
from evoweights_toy import Digits
from evoweights_toy.glyphs import GLYPHS, render, stencils

VARIANTS = {
    "plain": Digits(),
    "linear": Digits(hidden=[]),
    "batch_norm": Digits(batch_norm=True),
    "tied": Digits(hidden=[32, 32, 32], tie_hidden=True),
    "tied_batch_norm": Digits(hidden=[24, 24, 24, 24], tie_hidden=True, batch_norm=True),
}
each_variant = pytest.mark.parametrize("variant", sorted(VARIANTS))


def built(task, seed=0):
    with seeded(Noise(seed, "model")):
        return task.build()


def train_(task, module, steps):
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    for index in range(steps):
        optimizer.zero_grad()
        task.loss(module, task.batch(index)).backward()
        optimizer.step()


def test_every_digit_at_every_place_is_a_different_drawing():
    drawings = stencils().flatten(0, 1)
    assert len(torch.unique(drawings, dim=0)) == len(drawings) == 10 * 8
    assert set(drawings.unique().tolist()) == {0.0, 1.0}
    assert all(len(line) == 5 for glyph in GLYPHS for line in glyph.split())


@settings(derandomize=True, deadline=None, max_examples=25)
@given(count=st.integers(10, 60), sigma=st.floats(0.01, 2.0), seed=st.integers(0, 2**63))
def test_images_are_a_function_of_their_noise_and_show_every_digit(count, sigma, seed):
    images, labels = render(count, sigma, Noise(seed, "digits"))
    again, _ = render(count, sigma, Noise(seed, "digits"))
    assert images.shape == (count, 64)
    assert torch.equal(images, again)
    assert labels.bincount().tolist() == [count // 10 + (digit < count % 10) for digit in range(10)]


@pytest.mark.parametrize("noise", [0.01, 0.25])
def test_training_and_validation_have_no_image_in_common(noise, place_at):
    task = Digits(noise=noise).open(place_at(0))
    images = torch.cat([task.images, task.validation[0]])
    assert len(torch.unique(images, dim=0)) == 4096 + 512
    assert not torch.equal(task.images[:512], task.validation[0])


def test_a_batch_depends_on_the_seed_and_its_index_alone(place_at):
    task, same = (Digits().open(place_at(7)) for _ in range(2))
    forwards = [task.batch(index) for index in range(4)]
    torch.manual_seed(123)
    backwards = [same.batch(index) for index in reversed(range(4))][::-1]
    for one, other in zip(forwards, backwards, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
    assert not torch.equal(forwards[0][0], forwards[1][0])
    assert not torch.equal(forwards[0][0], Digits().open(place_at(8)).batch(0)[0])


def test_training_batches_come_from_the_training_images_with_their_labels(place_at):
    task = Digits(train_images=50, batch=20).open(place_at(0))
    images, labels = task.batch(3)
    assert images.shape == (20, 64)
    for image, label in zip(images, labels, strict=True):
        (found,) = torch.nonzero((task.images == image).all(1)).flatten().tolist()
        assert task.labels[found] == label


@each_variant
def test_evaluation_is_deterministic_and_changes_nothing(variant, place_at):
    task = VARIANTS[variant].open(place_at(0))
    module = built(task)
    train_(task, module, 3)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    first, shown = task.evaluate(module), task.sample(module)
    assert task.evaluate(module) == first
    assert task.sample(module) == shown
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    module.eval()
    assert task.evaluate(module) == first
    assert not module.training


@each_variant
def test_gradients_are_finite_and_learning_lowers_the_validation_loss(variant, place_at):
    task = VARIANTS[variant].open(place_at(1))
    module = built(task)
    task.loss(module, task.batch(0)).backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    guess = task.references()["uniform_guess"]
    assert task.evaluate(module) == pytest.approx(guess, abs=0.2)
    train_(task, module, 150)
    assert task.evaluate(module) < 0.75 * guess


def test_enough_steps_read_most_digits(place_at):
    task = Digits(batch_norm=True).open(place_at(1))
    module = built(task)
    train_(task, module, 400)
    assert int(task.sample(module).split(" of 512")[0]) > 0.85 * 512
    assert "validation images are read correctly; least often the " in task.sample(module)


def test_batch_norm_adds_buffers_that_training_moves(place_at):
    assert not list(built(Digits().open(place_at(0))).buffers())
    task = VARIANTS["batch_norm"].open(place_at(0))
    module = built(task)
    assert len(list(module.buffers())) == 6
    task.loss(module, task.batch(0))
    assert module.state_dict()["1.num_batches_tracked"] == 1


def test_tied_layers_are_one_parameter(place_at):
    module = built(VARIANTS["tied"].open(place_at(0)))
    weights = [name for name, each in module.named_parameters() if each.shape == (32, 32)]
    assert weights == ["2.weight"]
    assert module[4].weight is module[2].weight
    assert module[4].bias is not module[2].bias


def test_the_reference_is_the_loss_of_a_uniform_guess(place_at):
    task = Digits().open(place_at(0))
    module = built(task)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert task.evaluate(module) == pytest.approx(math.log(10)) == pytest.approx(task.references()["uniform_guess"])


def test_a_network_may_be_bfloat16(place_at):
    task = Digits().open(place_at(0))
    module = built(task).bfloat16()
    assert task.evaluate(module) == pytest.approx(math.log(10), abs=0.2)
    task.loss(module, task.batch(0)).backward()


@pytest.mark.parametrize("hidden", [[], [32, 32], [32, 32, 16]])
def test_hidden_layers_that_cannot_be_tied_are_refused(hidden, place_at):
    with pytest.raises(UsageError, match=r"at least three hidden layers of one width, found .*set task.hidden to, say"):
        Digits(hidden=hidden, tie_hidden=True).open(place_at(0))


def test_a_layer_without_width_is_refused(place_at):
    with pytest.raises(UsageError, match=r"task\.hidden: every width must be at least 1, found \[32, 0\]"):
        Digits(hidden=[32, 0]).open(place_at(0))
