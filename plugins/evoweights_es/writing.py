"""The opened text-reward task: it lets a model write, all prompts at once, and has every text judged."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn

import torch
from torch import Tensor, nn

from evoweights.contract import calling
from evoweights.errors import UsageError
from evoweights.task import TaskPlace
from evoweights_es.text_reward import Prompts, TextReward, read_prompts, repeated
from evoweights_lm.evaluating import evaluating
from evoweights_lm.task import LanguageTask

if TYPE_CHECKING:
    from evoweights_lm.vocabulary import Vocabulary


class TextRewardTask(LanguageTask):
    """A language model, its prompts, and the reward of what it writes."""

    unit = "texts"

    def __init__(self, settings: TextReward, place: TaskPlace) -> None:
        super().__init__(settings, place)
        if self.tokenizer is None:
            raise UsageError(
                "task.tokenizer: texts cannot be judged without a tokenizer. Set it to bpe, bytes or a tokenizer.json."
            )
        self.reward, self.new_tokens = settings.reward, settings.new_tokens
        self.prompts = read_prompts(settings.prompts, self.vocabulary, context=settings.context, what="prompts")
        self.judged = self.prompts
        if settings.validation_prompts:
            self.judged = read_prompts(
                settings.validation_prompts, self.vocabulary, context=settings.context, what="validation_prompts"
            )
        self.rows = min(settings.batch, len(settings.prompts))
        self.tokens_per_batch = self.rows

    sketches = False

    def batch(self, index: int) -> Prompts:
        """``batch`` prompts: every round through all of them has an order of its own, a function of the run's seed."""
        chosen = [self._prompt_of(number) for number in range(index * self.rows, (index + 1) * self.rows)]
        return Prompts([self.prompts.texts[i] for i in chosen], [self.prompts.ids[i] for i in chosen])

    def _prompt_of(self, number: int) -> int:
        turn, place = divmod(number, len(self.prompts.texts))
        generator = self.place.noise.at("prompts", turn).generator()
        return int(torch.randperm(len(self.prompts.texts), generator=generator)[place])

    def loss(self, module: nn.Module, batch: Prompts) -> NoReturn:
        """There is none that could be differentiated.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            "task: a text_reward has no gradient. Use an improver that needs none, such as `improve: [{name: es}]`, or "
            "`task: {name: language_model, ...}`."
        )

    @torch.no_grad()
    def scores(self, module: nn.Module, batch: Prompts) -> Tensor:
        """Minus the reward of each prompt's text, float64; NaN where the reward gave no number."""
        written = self.write(module, batch)
        with calling(f"reward {self.reward.name}: score"):
            rewards = [float(self.reward.score(*each)) for each in zip(batch.texts, written, strict=True)]
        return torch.tensor([-each if math.isfinite(each) else math.nan for each in rewards], dtype=torch.float64)

    def repeated(self, batch: Prompts, copies: int) -> Prompts:
        """The prompts so many times over, the first copy first."""
        return repeated(batch, copies)

    def evaluate(self, module: nn.Module) -> float:
        """Minus the mean reward of the validation prompts."""
        return float(self.scores(module, self.judged).mean())

    def references(self) -> Mapping[str, float]:
        """None: what a reward is worth, only its author can say."""
        return {}

    @torch.no_grad()
    def write(self, module: nn.Module, prompts: Prompts) -> list[str]:
        """The likeliest continuation of each prompt, token by token, until the end of the text or ``new_tokens``.

        Prompts of any length go through the model together: what fills up the shorter ones lies behind them, where a causal
        model does not look.
        """
        lengths = torch.tensor([len(each) for each in prompts.ids])
        widest = int(lengths.max())
        ids = torch.zeros(len(prompts.ids), min(self.settings.context, widest + self.new_tokens), dtype=torch.int64)
        for row, each in enumerate(prompts.ids):
            ids[row, : len(each)] = torch.tensor(each)
        begun, writing = lengths.clone(), torch.ones(len(lengths), dtype=torch.bool)
        with evaluating(module), self.compiling.eagerly():
            while True:
                writing &= (lengths < ids.shape[1]) & (lengths - begun < self.new_tokens)
                if not writing.any():
                    break
                chosen = self._next(module, ids[:, : int(lengths.max())], lengths)
                ids[writing, lengths[writing]] = chosen[writing]
                lengths += writing
                writing &= chosen != (-1 if self.vocabulary.end_of_text is None else self.vocabulary.end_of_text)
        return [_text(ids[row, begun[row] : lengths[row]], self.vocabulary) for row in range(len(lengths))]

    def _next(self, module: nn.Module, ids: Tensor, lengths: Tensor) -> Tensor:
        """The likeliest token after each row's last; NaN logits give token 0."""
        logits = module(input_ids=ids.to(self.place.device), use_cache=False).logits
        last = logits[torch.arange(len(ids)), lengths - 1, : self.vocabulary.size]
        return last.float().nan_to_num(nan=-math.inf).argmax(-1).cpu()


def _text(ids: Tensor, vocabulary: "Vocabulary") -> str:
    tokens = ids.tolist()
    if tokens and tokens[-1] == vocabulary.end_of_text:
        tokens.pop()
    return vocabulary.decode(tokens)
