"""Reading drawn digits: a small network, cross-entropy, and images that are rendered when the task opens."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from evoweights.task import Task, TaskPlace
from evoweights_toy.glyphs import GLYPHS, SIDE, render
from evoweights_toy.settings import Digits


class DigitsTask(Task):
    """Digits to read. Training and validation images come from two random streams and have none in common."""

    unit = "images"

    def __init__(self, settings: Digits, place: TaskPlace) -> None:
        self.settings, self.place = settings, place
        self.tokens_per_batch = settings.batch
        self.evaluation_batches = settings.validation_images / settings.batch
        data = place.noise.at("digits")
        self.images, self.labels = render(settings.train_images, settings.noise, data.at("train"))
        images, labels = render(settings.validation_images, settings.noise, data.at("validation"))
        self.validation = (images.to(place.device), labels.to(place.device))

    def build(self) -> nn.Sequential:
        """A perceptron with ReLU between its layers."""
        widths = [SIDE * SIDE, *self.settings.hidden]
        layers: list[nn.Module] = []
        tied: nn.Linear | None = None
        for depth, (inputs, outputs) in enumerate(pairwise(widths)):
            linear = nn.Linear(inputs, outputs)
            if tied is not None:
                linear.weight = tied.weight
            elif self.settings.tie_hidden and depth == 1:
                tied = linear
            norm = [nn.BatchNorm1d(outputs)] if self.settings.batch_norm else []
            layers += [linear, *norm, nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(widths[-1], len(GLYPHS)))

    def batch(self, index: int) -> tuple[Tensor, Tensor]:
        """Training images ``[batch, 64]`` and what they show ``[batch]``, drawn with replacement."""
        generator = self.place.noise.at("batch", index).generator()
        chosen = torch.randint(len(self.labels), (self.settings.batch,), generator=generator)
        return self.images[chosen].to(self.place.device), self.labels[chosen].to(self.place.device)

    def loss(self, module: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Mean cross-entropy in nats."""
        images, labels = batch
        return functional.cross_entropy(_logits(module, images), labels)

    @torch.no_grad()
    def scores(self, module: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        """The cross-entropy of every image in nats."""
        images, labels = batch
        with _evaluating(module):
            return functional.cross_entropy(_logits(module, images), labels, reduction="none")

    def repeated(self, batch: tuple[Tensor, Tensor], copies: int) -> tuple[Tensor, Tensor]:
        """The images so many times over, the first copy first."""
        images, labels = batch
        return images.repeat(copies, *[1] * (images.ndim - 1)), labels.repeat(copies)

    @torch.no_grad()
    def evaluate(self, module: nn.Module) -> float:
        """Mean cross-entropy of the validation images in nats; batch statistics are used, not changed."""
        images, labels = self.validation
        with _evaluating(module):
            return functional.cross_entropy(_logits(module, images), labels).item()

    @torch.no_grad()
    def sample(self, module: nn.Module) -> str:
        """How many validation images are read correctly, and which digit least often."""
        images, labels = self.validation
        with _evaluating(module):
            right = _logits(module, images).argmax(1) == labels
        digits = range(len(GLYPHS))
        shares = [right[labels == digit].double().mean().item() for digit in digits]
        worst = min(digits, key=lambda digit: shares[digit])
        return (
            f"{int(right.sum())} of {len(labels)} validation images are read correctly; "
            f"least often the {worst} ({shares[worst]:.0%})"
        )

    def references(self) -> Mapping[str, float]:
        """The loss of knowing nothing."""
        return {"uniform_guess": math.log(len(GLYPHS))}


def _logits(module: nn.Module, images: Tensor) -> Tensor:
    return module(images.to(next(module.parameters()).dtype)).float()


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    was_training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was_training)
