"""A language model that is judged by what it writes: prompts in, texts out, a reward for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from evoweights.catalog import part, setting
from evoweights.errors import UsageError
from evoweights.task import TaskPlace
from evoweights_es.rewards import LetterShare, Reward
from evoweights_lm.settings import LanguageModel

if TYPE_CHECKING:
    from evoweights_es.writing import TextRewardTask
    from evoweights_lm.vocabulary import Vocabulary


@dataclass(frozen=True)
class TextReward(LanguageModel):
    """Write texts that a reward likes; fitness is minus the mean reward of all prompts.

    Texts are the likeliest continuations (temperature 0), so they are a function of the weights. There is no gradient: an
    improver must do without, such as es. A training batch is ``batch`` prompts, or all if there are fewer; each is visited once
    before any comes again. ``data`` is only what a tokenizer is trained on.
    """

    name: ClassVar[str] = "text_reward"
    source: ClassVar[str] = "Qiu et al. 2025, Evolution Strategies at Scale, arXiv 2509.24372"

    prompts: list[str] = setting(["The ", "Return ", "If ", "A "], "texts to continue")
    validation_prompts: list[str] = setting([], "texts to continue for the fitness; if empty, all prompts")
    new_tokens: int = setting(24, "most tokens to write", unit="tokens", minimum=1)
    reward: Reward = part("reward", LetterShare, "what a text is worth")

    def open(self, place: TaskPlace) -> "TextRewardTask":
        """Open model and tokenizer, and read the prompts.

        Raises:
            UsageError: there is no prompt, or one is empty or leaves no room for anything new.
        """
        from evoweights_es.writing import TextRewardTask

        return TextRewardTask(self, place)


class Prompts(NamedTuple):
    """Prompts and their token ids, as often as they are to be continued; ``is_whole`` says that they must go through the model
    at once."""

    texts: Sequence[str]
    ids: Sequence[Sequence[int]]
    is_whole: bool = False


def read_prompts(texts: Sequence[str], vocabulary: "Vocabulary", *, context: int, what: str) -> Prompts:
    """The prompts' token ids.

    Raises:
        UsageError: there is none, one has no token, or one fills the context.
    """
    if not texts:
        raise UsageError(f"task.{what}: found no prompt; give at least one.")
    ids = [vocabulary.encode(text) for text in texts]
    for text, tokens in zip(texts, ids, strict=True):
        if not 0 < len(tokens) < context:
            raise UsageError(
                f"task.{what}: {text!r} has {len(tokens)} tokens; allowed are 1 to {context - 1}, so that something can follow "
                "within task.context."
            )
    return Prompts(texts, ids)


def repeated(prompts: Prompts, copies: int) -> Prompts:
    """The prompts so many times over, the first copy first."""
    return Prompts([*prompts.texts] * copies, [*prompts.ids] * copies, is_whole=True)
