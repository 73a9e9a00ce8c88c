"""What the weights are for: the interface of a task."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from evoweights.errors import UsageError
from evoweights.seeds import Noise

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from evoweights.ledger.counting import ForwardFlops


@dataclass(frozen=True)
class TaskPlace:
    """Where a task is opened: a folder of the run for its files, its noise, and the device its batches go to."""

    folder: Path
    noise: Noise
    device: "torch.device"


class Task(ABC):
    """An opened task: data is read and checked, models can be built. Fitness is a loss: lower is better."""

    tokens_per_batch: int
    """How much of ``unit`` a training batch has, for throughput."""

    unit: ClassVar[str] = "examples"
    """What a training batch is counted in, in the plural: tokens, images, ..."""

    compute_dtype: "torch.dtype | None" = None
    """What forward and backward compute in, if that is not the type of the weights that :meth:`build` gives: the genome
    keeps that type, and the module gets a rounded copy of it."""

    evaluation_batches: float | None = None
    """The work of :meth:`evaluate` in forward passes over a training batch; None if that is not known."""

    sketches: bool = False
    """Whether build, batch and loss also work on tensors without content, so that a run of any size can be planned."""

    generates: ClassVar[bool] = False
    """Whether :meth:`generate` is offered."""

    exports: ClassVar[bool] = False
    """Whether :meth:`export` is offered."""

    @abstractmethod
    def build(self) -> "nn.Module":
        """A fresh model of one individual, initialised through torch's global generators (the caller seeds them)."""

    @abstractmethod
    def batch(self, index: int) -> Any:
        """The training batch number ``index`` (from 0): a pure function of the index, so that resuming is exact."""

    @abstractmethod
    def loss(self, module: "nn.Module", batch: Any) -> "Tensor":
        """The differentiable loss of a batch, a scalar."""

    def scores(self, module: "nn.Module", batch: Any) -> "Tensor":
        """The loss of every item of a batch, ``[items]``, in evaluation mode and without gradients; the batch as one item if a
        task does not say otherwise."""
        import torch

        was_training = module.training
        module.eval()
        try:
            with torch.no_grad():
                return self.loss(module, batch).detach().reshape(1)
        finally:
            module.train(was_training)

    def repeated(self, batch: Any, copies: int) -> Any:
        """A batch so many times over, the first copy first, so that several individuals can be scored in one forward pass.

        Raises:
            UsageError: the task cannot.
        """
        raise UsageError(
            f"{type(self).__name__} cannot repeat a batch of type {type(batch).__name__}, so individuals cannot be scored "
            "together. Use a perturbation that scores them one by one, such as `perturbation: gaussian`."
        )

    def pieces(self, batch: Any) -> Iterable[tuple[Any, float]]:
        """A batch in pieces that are trained on one after the other, each with its share of the batch's loss, so that less
        memory is needed; the whole batch at once if a task does not say otherwise."""
        return ((batch, 1.0),)

    def flops(self, module: "nn.Module", share: Callable[[str], float] | None = None) -> int:
        """The floating-point operations of a forward pass over one training batch, a multiplication and an addition being two.

        ``share`` gives the share of a parameter's elements, by its name, that the pass computes with; None: all. Torch counts
        them once, while batch 0 is scored, unless a task knows a formula.
        """
        return self._forward_flops.flops(module, lambda: self.scores(module, self.batch(0)), share)

    def gradient_flops(self, module: "nn.Module", share: Callable[[str], float] | None = None) -> int:
        """Those of a forward and a backward pass: three times as many, unless something is computed twice."""
        return 3 * self.flops(module, share)

    def evaluation_flops(self, module: "nn.Module") -> int | None:
        """Those of :meth:`evaluate`; None if ``evaluation_batches`` is."""
        return None if self.evaluation_batches is None else round(self.evaluation_batches * self.flops(module))

    @functools.cached_property
    def _forward_flops(self) -> "ForwardFlops":
        from evoweights.ledger.counting import ForwardFlops

        return ForwardFlops()

    @abstractmethod
    def evaluate(self, module: "nn.Module") -> float:
        """The loss on a fixed validation subset that shares nothing with the training data."""

    def fingerprint(self) -> Mapping[str, str]:
        """A digest of every part that the task is made of and that may change without its settings: data, a tokenizer, a
        model's configuration, by name (``{"training data": ...}``).

        Checkpoints keep it, and a run is only continued while no part differs. So it must be the same whenever and wherever
        nothing has changed, with another version of a library too, and quick to make: it is asked for at every start.
        Nothing needs a digest that follows from settings and seed.
        """
        return {}

    def sample(self, module: "nn.Module") -> str | None:
        """Something a person can look at, such as generated text; None if the task has nothing to show."""
        del module  # unused: the plain task shows nothing

    def references(self) -> Mapping[str, float]:
        """Named losses to compare a fitness with, such as the entropy of a unigram model."""
        return {}

    def generate(self, module: "nn.Module", prompt: str, *, tokens: int, temperature: float, seed: int) -> str:
        """``prompt`` continued by at most ``tokens`` tokens; temperature 0 takes the likeliest one each time.

        Raises:
            UsageError: the task generates nothing.
        """
        raise UsageError(f"{type(self).__name__} generates no text; `evoweights generate` needs a language model.")

    def export(self, module: "nn.Module", folder: Path) -> str:
        """Write ``module`` to ``folder`` in the format its users expect, verify it, and say in a line what was written.

        Raises:
            UsageError: the task has no format of its own.
        """
        raise UsageError(f"{type(self).__name__} has no export format; {folder} was not written.")


class TaskSettings(Protocol):
    """A component of kind ``task``."""

    name: ClassVar[str]
    source: ClassVar[str]

    def open(self, place: TaskPlace) -> Task:
        """Read and check the data; whatever is wrong with it is an error here, before any training.

        Raises:
            DataError: data that is missing, damaged or too short.
        """
        ...
