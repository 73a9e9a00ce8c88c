"""Tokenizers: byte-level BPE trained on the spot, plain bytes, or one that comes with a file, a model or the hub."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evoweights.errors import DataError, UsageError
from evoweights_lm.windows import Tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

END_OF_TEXT = "<|endoftext|>"
_ENDS = (END_OF_TEXT, "<|end_of_text|>", "</s>", "<eos>", "<|eos|>")
KNOWN_SIZES = {"gpt2": (50257, 50256), "llama-3": (128256, 128001)}
"""Size and end-of-text id of vocabularies that token shards are published in."""
_PIECE = 1 << 18
_PIECES_AT_ONCE = 64


@dataclass(frozen=True)
class Vocabulary:
    """Token ids 0 to ``size - 1``. ``tokenizer`` is None where only ids are known, ``end_of_text`` where none is."""

    label: str
    size: int
    end_of_text: int | None
    tokenizer: "Tokenizer | None"

    @property
    def dtype(self) -> type[np.unsignedinteger]:
        """The smallest type that holds every id."""
        return np.uint16 if self.size <= 1 << 16 else np.uint32

    def encode(self, text: str) -> list[int]:
        """Token ids of a text. What looks like a special token is text like any other."""
        assert self.tokenizer is not None
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, special tokens spelled out."""
        assert self.tokenizer is not None
        return self.tokenizer.decode(list(ids), skip_special_tokens=False)

    def encode_documents(self, documents: Iterable[str]) -> Tokens:
        """Token ids of documents in a row, each followed by the end-of-text token if there is one."""
        assert self.tokenizer is not None
        end = np.array([] if self.end_of_text is None else [self.end_of_text], dtype=self.dtype)
        parts = []
        for document in documents:
            pieces = list(_pieces(document))
            for first in range(0, len(pieces), _PIECES_AT_ONCE):
                batch = pieces[first : first + _PIECES_AT_ONCE]
                encoded = self.tokenizer.encode_batch_fast(batch, add_special_tokens=False)
                parts += [np.array(each.ids, dtype=self.dtype) for each in encoded]
            parts.append(end)
        return np.concatenate(parts) if parts else end[:0]


def _pieces(document: str) -> Iterator[str]:
    """A document in pieces of bounded size, cut after lines where there are lines."""
    start = 0
    while start < len(document):
        end = start + _PIECE
        if end < len(document):
            end = document.rfind("\n", start, end) + 1 or end
        yield document[start:end]
        start = end


def train_bpe(documents: Iterable[str], size: int) -> Vocabulary:
    """Byte-level BPE of at most ``size`` tokens, learned from the documents; the same text gives the same tokens.

    Source: Sennrich et al. 2016; Radford et al. 2019, section 2.2 (on bytes).
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    pieces = (piece for document in documents for piece in _pieces(document))
    tokenizer.train_from_iterator(pieces, trainer)
    return from_tokenizer(tokenizer, "bpe", END_OF_TEXT)


def byte_vocabulary() -> Vocabulary:
    """Each byte is a token whose id is its value; end of text is 256."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE(vocab={letter: byte for byte, letter in enumerate(_byte_letters())}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([END_OF_TEXT])
    return from_tokenizer(tokenizer, "bytes", END_OF_TEXT)


def _byte_letters() -> list[str]:
    """The letter that byte-level tokenizers write for each byte: itself, or one from 256 on if it is invisible."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in shown]
    return [chr(byte) if byte in shown else chr(256 + others.index(byte)) for byte in range(256)]


def from_tokenizer(tokenizer: "Tokenizer", label: str, end: str | None) -> Vocabulary:
    """The vocabulary of a tokenizer (changed in place to read plain text); ``end`` is its end-of-text token."""
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    known = [each for each in (end, *_ENDS) if each and tokenizer.token_to_id(each) is not None]
    end_of_text = tokenizer.token_to_id(known[0]) if known else None
    # Ids may have gaps, and what a model needs is room for the highest.
    size = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
    return Vocabulary(label, size, end_of_text, tokenizer)


def tokenizer_file(path: Path, *, label: str = "") -> Vocabulary:
    """The tokenizer in a tokenizer.json; its end-of-text token is what a tokenizer_config.json beside it says.

    Raises:
        DataError: the file is missing or no tokenizer.
    """
    from tokenizers import Tokenizer

    content = _json(path)
    if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
        raise DataError(f'{path}: is JSON but no tokenizer (it has no "model"). Give a tokenizer.json of `tokenizers`.')
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises no narrower one
        raise _no_tokenizer(path, str(error)) from error
    if not tokenizer.get_vocab(with_added_tokens=True):
        raise _no_tokenizer(path, "it has no token")
    return from_tokenizer(tokenizer, label or str(path), _end_beside(path.with_name("tokenizer_config.json")))


def _end_beside(path: Path) -> str | None:
    """The end-of-text token that a tokenizer_config.json names, if it is there and names one."""
    config = _json(path) if path.exists() else {}
    end = config.get("eos_token") if isinstance(config, dict) else config
    end = end.get("content") if isinstance(end, dict) else end
    if end is not None and not isinstance(end, str):
        raise DataError(f"{path}: its eos_token is no text. Correct the file, or remove it.")
    return end


def _no_tokenizer(path: Path, cause: str) -> DataError:
    return DataError(f"{path}: is no tokenizer that can be used ({cause}). Fetch or make it again.")


def _json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Correct task.tokenizer.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is damaged or no JSON ({error}). Fetch or make it again.") from error


def known_vocabulary(name: str) -> Vocabulary:
    """A vocabulary of which only the size matters, because the data are ids already.

    Raises:
        UsageError: it is not known by name.
    """
    if name not in KNOWN_SIZES:
        raise UsageError(
            f"task.tokenizer: {name!r} is neither a file nor a known vocabulary ({', '.join(sorted(KNOWN_SIZES))}). "
            "Give a tokenizer.json, or set hub: true for a name on the hub."
        )
    size, end = KNOWN_SIZES[name]
    return Vocabulary(name, size, end, None)
