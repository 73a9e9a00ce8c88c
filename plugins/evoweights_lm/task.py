"""The opened language-model task: batches, losses, samples and models."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from evoweights.errors import UsageError
from evoweights.seeds import Noise
from evoweights.task import Task, TaskPlace
from evoweights_lm.blocks import recompute_
from evoweights_lm.causal import refuse_unless_causal
from evoweights_lm.compiling import Compiling
from evoweights_lm.corpus import open_corpus
from evoweights_lm.evaluating import evaluating
from evoweights_lm.flops import ABOUT_AGAIN, KnownMatrices, Reading, Share
from evoweights_lm.generate import generate_tokens
from evoweights_lm.huggingface import build_model, open_config
from evoweights_lm.loss import PLAIN_HEADS, next_token_loss, sequence_losses
from evoweights_lm.origin import find_origin
from evoweights_lm.settings import LanguageModel
from evoweights_lm.windows import Tokens, epoch_window, open_windows

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PretrainedConfig, PreTrainedModel

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "mixed": torch.float32}
"""Type of the weights by the setting ``dtype``."""


class Batch(NamedTuple):
    """Token ids ``int64 [batch, context]``; each target is the token after the input at its place.

    ``is_whole`` says that it must go through the model at once.
    """

    inputs: Tensor
    targets: Tensor
    is_whole: bool = False


class LanguageTask(Task):
    """Next-token prediction with any causal language model of ``transformers``.

    ``config`` is that of the undivided model, ``pretrained`` says whether it comes with weights, and ``corpus`` holds
    the token ids and the vocabulary.
    """

    exports = True
    unit = "tokens"

    def __init__(self, settings: LanguageModel, place: TaskPlace) -> None:
        self.settings, self.place = settings, place
        self.origin = find_origin(settings)
        self.pretrained = self.origin.pretrained
        self.corpus = open_corpus(settings, self.origin, place.folder)
        self.vocabulary = self.corpus.vocabulary
        self.config: PretrainedConfig = open_config(self.origin, settings, self.vocabulary)
        self.train_windows = open_windows(self.corpus.train, settings.context, what="training text")
        self.validation_windows = open_windows(self.corpus.validation, settings.context, what="validation text")
        self.tokens_per_batch = settings.batch * settings.context
        self.compiling = Compiling(settings.compile, place.device)
        self.compute_dtype = torch.bfloat16 if settings.dtype == "mixed" else None
        self.sequences_at_once = settings.micro_batch or settings.batch
        self.matrices, self.reading = KnownMatrices(), Reading.of(settings.batch, settings.context)
        subset = self.validation_windows.spread_over(settings.validation_tokens)
        self.evaluation_batches = subset / settings.batch

    @property
    def sketches(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride] (weights must be read to be used)
        """Whether the model is fresh, and of a kind whose operations are known to do without content."""
        return not self.pretrained and self.config.model_type in PLAIN_HEADS

    @property
    def generates(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride] (known once the data is open)
        """Whether there is a tokenizer to write text with."""
        return self.tokenizer is not None

    @property
    def tokenizer(self) -> "Tokenizer | None":
        """The tokenizer; None where only its size is known."""
        return self.vocabulary.tokenizer

    def build(self, layers: int | None = None) -> "PreTrainedModel":
        """A model on the task's device, without dropout and cache: its saved weights if it has them, else fresh ones.

        ``layers`` overrides the number of layers, and then the weights are always fresh.
        """
        model = build_model(self.origin, self.config, layers=layers, dtype=DTYPES[self.settings.dtype])
        if self.place.device.type != "cpu":
            cast(nn.Module, model).to(self.place.device)
        refuse_unless_causal(model, self.origin.label, self.place.device)
        recompute_(model, self.settings.recompute)
        self.compiling.compile_(model)
        if self.config.model_type in PLAIN_HEADS:
            self.matrices.of(model)  # now that it is whole
        return model

    def flops(self, module: nn.Module, share: Share | None = None) -> int:
        """By a formula (:mod:`evoweights_lm.flops`) where it holds; torch counts those of other models."""
        if self.config.model_type not in PLAIN_HEADS:
            return super().flops(module, share)
        return self.matrices.of(module).forward(self.reading, share)

    def gradient_flops(self, module: nn.Module, share: Share | None = None) -> int:
        """Three times those of a forward pass, and what is computed again."""
        again, plain = self.settings.recompute, self.flops(module, share)
        if self.config.model_type not in PLAIN_HEADS:
            return round((3 + ABOUT_AGAIN[again]) * plain)
        return 3 * plain + self.matrices.of(module).again(again, self.reading, share)

    def batch(self, index: int) -> Batch:
        """Training batch number ``index``: every epoch visits every window of the text once, in an order of its own."""
        first = index * self.settings.batch
        noise = self.place.noise.at("windows")
        rows = range(first, first + self.settings.batch)
        return self._to_device([epoch_window(self.train_windows, row, noise) for row in rows])

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        """Mean cross-entropy of a batch in nats per token."""
        model = cast("PreTrainedModel", module)
        return self.compiling.run(lambda: next_token_loss(model, batch.inputs, batch.targets), module)

    @torch.no_grad()
    def scores(self, module: nn.Module, batch: Batch) -> Tensor:
        """Mean cross-entropy of every sequence in nats per token, float32, without gradients."""
        rows = len(batch.inputs) if batch.is_whole else self.sequences_at_once
        model, found = cast("PreTrainedModel", module), []
        with evaluating(module), self.compiling.eagerly():
            for inputs, targets in zip(batch.inputs.split(rows), batch.targets.split(rows), strict=True):
                found.append(sequence_losses(model, inputs, targets))
        return torch.cat(found)

    def repeated(self, batch: Batch, copies: int) -> Batch:
        """The sequences so many times over, the first copy first."""
        return Batch(batch.inputs.repeat(copies, 1), batch.targets.repeat(copies, 1), is_whole=True)

    def pieces(self, batch: Batch) -> Iterator[tuple[Batch, float]]:
        """The batch in parts of ``micro_batch`` sequences."""
        rows = self.sequences_at_once
        for inputs, targets in zip(batch.inputs.split(rows), batch.targets.split(rows), strict=True):
            yield Batch(inputs, targets), len(inputs) / len(batch.inputs)

    @torch.no_grad()
    def evaluate(self, module: nn.Module) -> float:
        """Mean cross-entropy in nats per token on the fixed validation subset, summed in float64."""
        total, count = 0.0, 0
        with evaluating(module):
            for batch in self.validation_batches():
                tokens = batch.targets.numel()
                total += float(self.loss(module, batch)) * tokens
                count += tokens
        return total / count

    def validation_batches(self) -> Iterator[Batch]:
        """The fixed validation subset, always the same windows in the same batches; the last batch may be smaller."""
        subset = self.validation_windows.spread(self.settings.validation_tokens)
        for first in range(0, len(subset), self.sequences_at_once):
            numbers = subset[first : first + self.sequences_at_once]
            yield self._to_device([self.validation_windows.read(number) for number in numbers])

    def sample(self, module: nn.Module) -> str | None:
        """Text that begins with ``sample_prompt``, the same for the same weights; None without a tokenizer."""
        if self.tokenizer is None:
            return None
        return self.generate(module, self.settings.sample_prompt, tokens=self.settings.sample_tokens)

    def generate(
        self,
        module: nn.Module,
        prompt: str,
        *,
        tokens: int = 64,
        temperature: float = 0.8,
        top_k: int = 40,
        seed: int = 0,
    ) -> str:
        """``prompt`` and up to ``tokens`` more; an empty prompt is the start of a document.

        Raises:
            UsageError: there is no tokenizer, or the prompt is empty and there is no token to start from.
        """
        if self.tokenizer is None:
            raise UsageError(
                f"generate: of the tokenizer {self.vocabulary.label!r} only the size is known. Set task.tokenizer to "
                "its tokenizer.json, or hub: true."
            )
        start = self.vocabulary.encode(prompt)
        end = self.vocabulary.end_of_text
        if not start and end is None:
            raise UsageError("generate: this vocabulary has no end-of-text token to start from. Give a prompt.")
        begin = [] if start or end is None else [end]
        with evaluating(module), self.compiling.eagerly():
            ids = generate_tokens(
                module,
                [*begin, *start],
                vocabulary=self.vocabulary,
                context=self.settings.context,
                tokens=tokens,
                temperature=temperature,
                top_k=top_k,
                noise=Noise(seed, "generate"),
            )
        return self.vocabulary.decode(ids[len(begin) :])

    def fingerprint(self) -> Mapping[str, str]:
        """Digests of the training and the validation tokens, the tokenizer and the model's configuration.

        What each of them notices is said in :mod:`evoweights_lm.fingerprint`.
        """
        from evoweights_lm.fingerprint import parts_of

        return parts_of(self.corpus, self.origin)

    def references(self) -> Mapping[str, float]:
        """Losses of two models that know no context, on the targets that :meth:`evaluate` scores.

        ``unigram entropy``: the cross-entropy under the frequencies of the training tokens, each counted once more than
        it occurs; ``uniform``: the logarithm of the vocabulary's size.
        """
        counts = self.corpus.train_counts + 1.0
        targets = torch.cat([batch.targets.flatten() for batch in self.validation_batches()]).cpu().numpy()
        unigram = -np.log(counts / counts.sum())[targets].mean()
        return {"unigram entropy": float(unigram), "uniform": math.log(self.vocabulary.size)}

    def export(self, module: nn.Module, folder: Path) -> str:
        """Write a folder that ``AutoModelForCausalLM`` and ``AutoTokenizer`` open, checked to give the same logits.

        Raises:
            CheckpointError: what was written does not equal ``module``; nothing is left in ``folder`` then.
            UsageError: the folder holds something that is no saved model.
        """
        from evoweights_lm.export import export_model

        with evaluating(module), self.compiling.eagerly():
            return export_model(cast("PreTrainedModel", module), folder, task=self)

    def _to_device(self, rows: list[Tokens]) -> Batch:
        block = torch.from_numpy(np.stack(rows).astype(np.int64))
        if self.place.device.type == "cuda":
            block = block.pin_memory()
        block = block.to(self.place.device, non_blocking=True)
        return Batch(block[:, :-1].contiguous(), block[:, 1:].contiguous())
