"""Token ids ready to train on: made once from text and kept in the run's folder, or mapped from token shards."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evoweights.errors import DataError
from evoweights_lm.documents import Split, TextSource
from evoweights_lm.staging import staged_folder
from evoweights_lm.vocabulary import Vocabulary, tokenizer_file
from evoweights_lm.windows import Tokens

_FORMAT = 1
_PARTS = ("train", "validation")
_FORMS = {"fingerprint": str, "tokenizer": str, "train": int, "validation": int}
"""What must be in facts.json."""


@dataclass(frozen=True)
class TokenData:
    """A corpus: pieces of token ids to train and to validate on, and how often each id occurs in training."""

    label: str
    vocabulary: Vocabulary
    train: tuple[Tokens, ...]
    validation: tuple[Tokens, ...]
    train_counts: Tokens


def settings_key(settings: dict[str, object]) -> str:
    """16 hex digits that change with any of the settings."""
    text = json.dumps([_FORMAT, settings], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def text_tokens(source: TextSource, folder: Path, *, make_vocabulary: Callable[[list[str]], Vocabulary]) -> TokenData:
    """The tokens of a text: read from ``folder`` if they are there, else made and put there.

    ``make_vocabulary`` is given the training documents; validation text is never seen by it.

    Raises:
        DataError: the text has changed since the tokens were made, or their files are damaged.
    """
    if not folder.exists():
        split = source.read()
        vocabulary = make_vocabulary(split.train)
        with staged_folder(folder) as staging:
            _write_tokens(source, split, vocabulary, staging)
    facts = _facts(folder)
    if facts["fingerprint"] != source.fingerprint:
        raise DataError(
            f"task.data: {source.label} has changed since {folder} was made from it, so a continued run would train on "
            "other data. Put the old text back, or start anew (--fresh)."
        )
    vocabulary = tokenizer_file(folder / "tokenizer.json", label=facts["tokenizer"])
    train, validation = (_mapped(folder / f"{part}.npy", facts[part]) for part in _PARTS)
    counts = np.bincount(train, minlength=vocabulary.size)
    return TokenData(source.label, vocabulary, (train,), (validation,), counts)


def _write_tokens(source: TextSource, split: Split, vocabulary: Vocabulary, folder: Path) -> None:
    assert vocabulary.tokenizer is not None
    facts: dict[str, object] = {"source": source.label, "fingerprint": source.fingerprint}
    facts |= {"tokenizer": vocabulary.label, "vocabulary": vocabulary.size}
    for part, documents in zip(_PARTS, (split.train, split.validation), strict=True):
        tokens = vocabulary.encode_documents(documents)
        np.save(folder / f"{part}.npy", tokens, allow_pickle=False)
        facts[part] = len(tokens)
    vocabulary.tokenizer.save(str(folder / "tokenizer.json"))
    if vocabulary.end_of_text is not None:
        end = vocabulary.tokenizer.id_to_token(vocabulary.end_of_text)
        (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": end}), encoding="utf-8")
    (folder / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


def _facts(folder: Path) -> dict:
    path = folder / "facts.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(facts, dict):
        raise _damaged(path, f"a {type(facts).__name__} instead of named facts")
    for name, form in _FORMS.items():
        if type(facts.get(name)) is not form:
            raise _damaged(path, f"{name} is {facts.get(name)!r:.40}, which is no {form.__name__}")
    return facts


def _mapped(path: Path, count: int) -> Tokens:
    try:
        tokens = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    if tokens.ndim != 1 or tokens.dtype.kind != "u":
        raise _damaged(path, f"{tokens.dtype} {list(tokens.shape)} instead of token ids")
    if len(tokens) != count:
        raise _damaged(path, f"{len(tokens)} tokens instead of {count}")
    return tokens


def _damaged(path: Path, cause: str) -> DataError:
    return DataError(
        f"{path}: the cached tokens are damaged ({cause}). Delete the folder {path.parent}; it is made again."
    )
