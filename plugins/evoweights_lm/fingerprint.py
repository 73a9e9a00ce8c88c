"""Digests by which a continued run knows its data, its tokenizer and its model again.

They depend on content alone: not on where files are or what they are called, nor on the version of a library.
"""

import dataclasses
import hashlib
import json
from collections.abc import Sequence

import numpy as np

from evoweights_lm.origin import Origin, config_file
from evoweights_lm.token_data import TokenData
from evoweights_lm.vocabulary import Vocabulary
from evoweights_lm.windows import Tokens

WHOLE = 1 << 24
"""Token ids of which all are read."""
BLOCK, BLOCKS = 1 << 16, 64
"""Where there are more, this many ids in each of this many blocks of a piece are."""

_SAMPLE = "The 2nd naïve gene, don't\n\tmutate_it(x := 3.14)! Über 1,000 Straßen; Привет, 世界 🧬  <|endoftext|></s>"
_NOTES = ("transformers_version", "_name_or_path", "_commit_hash", "torch_dtype", "dtype")


def parts_of(corpus: TokenData, origin: Origin) -> dict[str, str]:
    """The fingerprint of a language-model task."""
    return {
        "training data": tokens_digest(corpus.train, corpus.train_counts),
        "validation data": tokens_digest(corpus.validation),
        "tokenizer": tokenizer_digest(corpus.vocabulary),
        "model": model_digest(origin),
    }


def tokens_digest(pieces: Sequence[Tokens], counts: Tokens | None = None) -> str:
    """A digest of token ids: of their number in each piece, of the ids, and of ``counts``, how often each id occurs.

    Up to 16.8 million ids are read. Where there are more, it is 64 blocks of 65,536 ids in each piece, the first, the last
    and others evenly between them; then a change elsewhere that keeps ``counts`` as they are, such as sentences that have
    changed places, is not noticed.
    """
    digest, is_whole = hashlib.sha256(), sum(map(len, pieces)) <= WHOLE
    for piece in pieces:
        digest.update(f"{len(piece)};".encode())
        for start in _starts(len(piece), is_whole):
            digest.update(np.ascontiguousarray(piece[start : start + BLOCK], dtype="<u4").tobytes())
    if counts is not None:
        digest.update(np.ascontiguousarray(counts, dtype="<i8").tobytes())
    return digest.hexdigest()


def _starts(count: int, is_whole: bool) -> list[int]:
    """Where the blocks begin that are read of a piece."""
    blocks = -(-count // BLOCK)
    if is_whole or blocks <= BLOCKS:
        return [block * BLOCK for block in range(blocks)]
    return [round(block * (count - BLOCK) / (BLOCKS - 1)) for block in range(BLOCKS)]


def tokenizer_digest(vocabulary: Vocabulary) -> str:
    """A digest of every token with its id, the end of text, and how a sample with several scripts and signs is divided.

    A rule of division that shows neither there nor in the tokens is not noticed. Of a vocabulary that is known by its size
    only, it is a digest of that.
    """
    facts: list[object] = [vocabulary.size, vocabulary.end_of_text]
    if vocabulary.tokenizer is not None:
        facts += [vocabulary.tokenizer.get_vocab(with_added_tokens=True), vocabulary.encode(_SAMPLE)]
    return _json_digest(facts)


def model_digest(origin: Origin) -> str:
    """A digest of what decides the architecture: a preset's size, or all of a config.json, as it is written in the file,
    but notes of who wrote it.

    Saved weights are not part of it, because a run has its own from its first checkpoint on.
    """
    if origin.size is not None:
        return _json_digest(dataclasses.asdict(origin.size))
    facts = json.loads(config_file(origin).read_text(encoding="utf-8"))
    return _json_digest({key: value for key, value in facts.items() if key not in _NOTES})


def _json_digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
