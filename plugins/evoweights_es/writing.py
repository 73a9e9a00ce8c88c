"""The opened text-reward task: it lets a model write, many prompts at once, and has every text judged."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn, cast

import torch
from torch import Tensor, nn

from evoweights.contract import calling
from evoweights.errors import UsageError
from evoweights.task import TaskPlace
from evoweights_es.rewards import as_number
from evoweights_es.text_reward import Prompts, TextReward, read_prompts, repeated
from evoweights_lm.evaluating import evaluating
from evoweights_lm.flops import Reading
from evoweights_lm.loss import PLAIN_HEADS
from evoweights_lm.task import LanguageTask
from evoweights_lm.windows import permuted

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class TextRewardTask(LanguageTask):
    """A language model, its prompts, and the reward of what it writes."""

    unit = "texts"
    sketches = False  # pyright: ignore[reportAssignmentType] (a model without content writes nothing)

    def __init__(self, settings: TextReward, place: TaskPlace) -> None:
        super().__init__(settings, place)
        if self.tokenizer is None:
            raise UsageError(
                f"task.tokenizer: of {self.vocabulary.label!r} only the size is known, so task.prompts cannot be read and no "
                "text can be judged. Set it to a tokenizer.json, or to bpe or bytes with data: text or python_docs."
            )
        self.reward, self.new_tokens = settings.reward, settings.new_tokens
        self.prompts = read_prompts(settings.prompts, self.vocabulary, context=settings.context, what="prompts")
        self.judged = self.prompts
        if settings.validation_prompts:
            self.judged = read_prompts(
                settings.validation_prompts, self.vocabulary, context=settings.context, what="validation_prompts"
            )
        self.tokens_per_batch = min(settings.batch, len(settings.prompts))
        self.evaluation_batches = len(self.judged.ids) / self.tokens_per_batch
        self.reading = _writing(self.prompts, settings, texts=self.tokens_per_batch)

    def batch(self, index: int) -> Prompts:
        """``batch`` prompts: every round through all of them has an order of its own, a function of the run's seed."""
        first = index * self.tokens_per_batch
        chosen = [self._prompt_of(number) for number in range(first, first + self.tokens_per_batch)]
        return Prompts([self.prompts.texts[i] for i in chosen], [self.prompts.ids[i] for i in chosen])

    def _prompt_of(self, number: int) -> int:
        turn, place = divmod(number, len(self.prompts.texts))
        return permuted(place, len(self.prompts.texts), self.place.noise.at("prompts", turn).torch_seed())

    def loss(self, module: nn.Module, batch: Prompts) -> NoReturn:
        """There is none that could be differentiated.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            "task: a text_reward has no gradient. Use an improver that needs none, such as `improve: [{name: es}]`, or "
            "`task: {name: language_model, ...}`."
        )

    def pieces(self, batch: Prompts) -> Iterator[tuple[Prompts, float]]:
        """The batch as it is: nothing goes backward through a part of it either."""
        yield batch, 1.0

    @torch.no_grad()
    def scores(self, module: nn.Module, batch: Prompts) -> Tensor:
        """Minus the reward of each prompt's text, float64; NaN where the reward or the model gave no number."""
        found = []
        for prompt, text in zip(batch.texts, self.write(module, batch), strict=True):
            with calling(f"reward {self.reward.name}: score"):
                given = math.nan if text is None else self.reward.score(prompt, text)
                worth = as_number(given, reward=self.reward.name)
            found.append(0.0 - worth if math.isfinite(worth) else math.nan)  # not -0.0 for nothing
        return torch.tensor(found, dtype=torch.float64)

    def repeated(self, batch: Prompts, copies: int) -> Prompts:
        """The prompts so many times over, the first copy first."""
        return repeated(batch, copies)

    def evaluate(self, module: nn.Module) -> float:
        """Minus the mean reward of the validation prompts."""
        return float(self.scores(module, self.judged).mean())

    def references(self) -> Mapping[str, float]:
        """None: what a reward is worth, only its author can say."""
        return {}

    def sample(self, module: nn.Module) -> str:
        """Text that begins with ``sample_prompt``: the likeliest one, as the reward sees it."""
        settings = self.settings
        return self.generate(module, settings.sample_prompt, tokens=settings.sample_tokens, temperature=0.0)

    @torch.no_grad()
    def write(self, module: nn.Module, prompts: Prompts) -> list[str | None]:
        """The likeliest continuation of each prompt, token by token, until the text ends, ``new_tokens`` are written or the
        context is full; None where the model's logits are not finite."""
        at_once = len(prompts.ids) if prompts.is_whole else self.sequences_at_once
        found: list[str | None] = []
        with evaluating(module), self.compiling.eagerly():
            for first in range(0, len(prompts.ids), at_once):
                found += self._write_together(module, prompts.ids[first : first + at_once])
        return found

    def _write_together(self, module: nn.Module, prompts: Sequence[Sequence[int]]) -> list[str | None]:
        """What fills up the shorter ones lies behind them, where a causal model does not look."""
        begun = torch.tensor([len(each) for each in prompts])
        longest = (begun + self.new_tokens).clamp(max=self.settings.context)
        ids = torch.zeros(len(prompts), int(longest.max()), dtype=torch.int64)
        for row, each in enumerate(prompts):
            ids[row, : len(each)] = torch.tensor(each)
        lengths, is_sound = begun.clone(), torch.ones(len(prompts), dtype=torch.bool)
        writing = is_sound.clone()
        while writing.any():
            highest, chosen = self._last_logits(module, ids[:, : int(lengths.max())], lengths).max(1)
            is_sound &= highest.isfinite() | ~writing  # the highest is NaN if any is
            writing &= is_sound
            ids[writing, lengths[writing]] = chosen[writing]
            lengths += writing
            writing &= (lengths < longest) & (chosen != self._end)
        return [
            self._text(ids[row, : lengths[row]].tolist(), int(begun[row])) if is_sound[row] else None
            for row in range(len(prompts))
        ]

    def _last_logits(self, module: nn.Module, ids: Tensor, lengths: Tensor) -> Tensor:
        """Logits after each row's last token, float32 ``[rows, vocabulary]`` on the CPU."""
        model, ids = cast("PreTrainedModel", module), ids.to(self.place.device)
        rows, last = torch.arange(len(ids), device=ids.device), (lengths - 1).to(ids.device)
        head = model.get_output_embeddings()
        if head is not None and model.config.model_type in PLAIN_HEADS:
            hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
            logits = head(hidden[rows, last])  # of all other places they would only take memory
        else:
            logits = model(input_ids=ids, use_cache=False).logits[rows, last]
        return logits[:, : self.vocabulary.size].float().cpu()

    @property
    def _end(self) -> int:
        """The end-of-text token; no token if there is none."""
        return -1 if self.vocabulary.end_of_text is None else self.vocabulary.end_of_text

    def _text(self, ids: list[int], begun: int) -> str:
        """What follows the first ``begun`` tokens; read together with them, as a first token may lose its space."""
        if ids[-1] == self._end and len(ids) > begun:
            ids = ids[:-1]
        return self.vocabulary.decode(ids)[len(self.vocabulary.decode(ids[:begun])) :]


def _writing(prompts: Prompts, settings: TextReward, *, texts: int) -> Reading:
    """What goes through the model while ``texts`` texts are written to the end from the longest prompt: every new token is
    predicted from all before it."""
    longest = max(map(len, prompts.ids))
    lengths = range(longest, min(longest + settings.new_tokens, settings.context))
    tokens, pairs = sum(lengths), sum(length**2 for length in lengths)
    return Reading(texts * tokens, pairs=texts * pairs, predictions=texts * len(lengths))
