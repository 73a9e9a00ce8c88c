"""From settings to token ids: which text, which tokenizer, and where the result is kept."""

import hashlib
import os
from pathlib import Path

from evoweights.errors import DataError, UsageError
from evoweights_lm.documents import TextSource, text_source
from evoweights_lm.hub_data import hub_source
from evoweights_lm.huggingface import open_tokenizer
from evoweights_lm.origin import Origin, tokenizer_origin
from evoweights_lm.python_docs import python_docs_source
from evoweights_lm.settings import LanguageModel
from evoweights_lm.shards import shard_tokens
from evoweights_lm.token_data import TokenData, settings_key, text_tokens
from evoweights_lm.vocabulary import (
    KNOWN_SIZES,
    Vocabulary,
    byte_vocabulary,
    known_vocabulary,
    tokenizer_file,
    train_bpe,
)

_OF_TOKENS = (
    *("data", "files", "validation_files", "validation_share", "documents", "text_field"),
    *("dataset", "dataset_config", "dataset_split", "dataset_revision"),
)
"""The settings that decide which tokens there are, besides the tokenizer."""


def open_corpus(settings: LanguageModel, model: Origin, folder: Path) -> TokenData:
    """The corpus that ``settings`` name, tokenized; what takes time is done once and kept in ``folder``.

    Raises:
        DataError: text, token ids or tokenizer are missing, damaged or do not fit.
        UsageError: settings that contradict each other.
    """
    tokenizer = _tokenizer_name(settings, model)
    key: dict[str, object] = {name: getattr(settings, name) for name in _OF_TOKENS}
    if tokenizer == "bpe":
        size = settings.vocabulary_size
        folder /= f"tokens-{settings_key(key | {'tokenizer': 'bpe', 'size': size})}"
        return text_tokens(_text(settings), folder, make_vocabulary=lambda train: train_bpe(train, size))
    vocabulary = _open_vocabulary(settings, model, tokenizer)
    key |= {"tokenizer": vocabulary.label, "size": vocabulary.size, "digest": _digest(vocabulary)}
    if settings.data == "token_shards":
        return shard_tokens(settings, folder / f"shards-{settings_key(key)}", vocabulary)
    folder /= f"tokens-{settings_key(key)}"
    return text_tokens(_text(settings), folder, make_vocabulary=lambda _: vocabulary)


def _text(settings: LanguageModel) -> TextSource:
    if settings.data == "python_docs":
        return python_docs_source(settings.validation_share)
    if settings.data == "hub":
        return hub_source(settings)
    return text_source(settings.files, settings.validation_files, settings.validation_share)


def _tokenizer_name(settings: LanguageModel, model: Origin) -> str:
    """``settings.tokenizer``, with ``auto`` resolved to ``model``, ``gpt2`` or ``bpe``."""
    if model.pretrained and settings.tokenizer in ("bpe", "bytes"):
        raise UsageError(
            f"task.tokenizer: {model.label!r} has weights that know the tokens of its own tokenizer, not those of "
            f"{settings.tokenizer!r}. Use tokenizer: auto, or give its config.json as the model to train it afresh."
        )
    if settings.tokenizer != "auto":
        return settings.tokenizer
    if model.hub or _has_tokenizer(model):
        return "auto"
    if model.pretrained:
        raise DataError(
            f"task.tokenizer: the folder {model.label!r} holds no tokenizer. Name the one its weights were trained "
            "with (a tokenizer.json, or for token_shards a known vocabulary such as gpt2)."
        )
    return "gpt2" if settings.data == "token_shards" else "bpe"


def _has_tokenizer(model: Origin) -> bool:
    folder = Path(model.path)
    files = ("tokenizer.json", "tokenizer_config.json", "vocab.json")
    return bool(model.path) and any((folder / file).is_file() for file in files)


def _open_vocabulary(settings: LanguageModel, model: Origin, name: str) -> Vocabulary:
    if name == "bytes":
        return byte_vocabulary()
    if os.path.isfile(name) or name.endswith(".json"):
        return tokenizer_file(Path(name))
    if name == "auto" or os.path.isdir(name) or settings.hub:
        return open_tokenizer(tokenizer_origin(settings, model))
    if settings.data != "token_shards" and name in KNOWN_SIZES:
        raise UsageError(
            f"task.tokenizer: of {name!r} only the size is known without the hub, so it can read no text. Give its "
            "tokenizer.json, set hub: true, or use bpe."
        )
    return known_vocabulary(name)


def _digest(vocabulary: Vocabulary) -> str:
    text = vocabulary.tokenizer.to_str() if vocabulary.tokenizer else ""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
