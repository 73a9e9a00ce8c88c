"""Files of token ids, memory-mapped: llm.c's format with a header, and nanoGPT's without.

llm.c: 256 int32 (magic, version, number of tokens, zeros), then the ids; magic 20240520 version 1 means uint16 (GPT-2),
magic 20240801 version 7 uint32 (Llama 3). nanoGPT: uint16 ids only. As uint16 ids, both magics begin with a number
(55432, 55713) beyond GPT-2's vocabulary, so a file without header cannot be mistaken for one with.
Source: Karpathy, llm.c (dev/data/data_common.py) and nanoGPT (data/openwebtext/prepare.py).
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evoweights.errors import DataError
from evoweights_lm.documents import find_files, refuse_overlap
from evoweights_lm.settings import LanguageModel
from evoweights_lm.staging import staged_folder
from evoweights_lm.token_data import TokenData
from evoweights_lm.vocabulary import Vocabulary
from evoweights_lm.windows import Tokens

_HEADER_BYTES = 1024
_FORMATS = {20240520: (1, np.dtype("<u2")), 20240801: (7, np.dtype("<u4"))}
_CHUNK = 1 << 22


@dataclass(frozen=True)
class Shard:
    """Token ids of a file, or some of them: ``tokens`` is mapped, ``header`` bytes and ``first`` ids into the file."""

    path: Path
    header: int
    tokens: Tokens
    first: int = 0

    def part(self, start: int, stop: int) -> "Shard":
        """The ids from number ``start`` to before ``stop``."""
        return replace(self, tokens=self.tokens[start:stop], first=self.first + start)


def open_shard(path: Path) -> Shard:
    """Map a file of token ids.

    Raises:
        DataError: it is unreadable, empty, truncated, of an unknown version, or no whole number of ids.
    """
    try:
        size = path.stat().st_size
        start = np.fromfile(path, dtype="<i4", count=3)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Check its permissions, or remove it.") from error
    if len(start) == 3 and int(start[0]) in _FORMATS:
        return _with_header(path, size, *map(int, start))
    if size == 0:
        raise DataError(f"{path}: is empty. Remove it from the list of files, or make it again.")
    if size % 2:
        raise DataError(
            f"{path}: {size} bytes is no whole number of uint16 token ids (a byte is left at offset {size - 1}), and "
            "there is no llm.c header. The file is truncated or no token shard; fetch or make it again."
        )
    return Shard(path, 0, np.memmap(path, dtype="<u2", mode="r"))


def _with_header(path: Path, size: int, magic: int, version: int, count: int) -> Shard:
    known, dtype = _FORMATS[magic]
    if version != known:
        raise DataError(f"{path}: llm.c header (magic {magic}) of version {version}; only version {known} can be read.")
    expected = _HEADER_BYTES + count * dtype.itemsize
    if size != expected or count <= 0:
        raise DataError(
            f"{path}: its header promises {count} tokens, which makes {expected} bytes, but it ends at offset {size}. "
            "The file is truncated or was written to; fetch or make it again."
        )
    return Shard(path, _HEADER_BYTES, np.memmap(path, dtype=dtype, mode="r", offset=_HEADER_BYTES, shape=(count,)))


def count_ids(shards: Iterable[Shard], vocabulary: Vocabulary) -> Tokens:
    """How often each id occurs, ``int64 [vocabulary.size]``; the files are read in chunks.

    Raises:
        DataError: an id is outside the vocabulary; file, offset and id are named.
    """
    counts = np.zeros(vocabulary.size, dtype=np.int64)
    for shard in shards:
        for start in range(0, len(shard.tokens), _CHUNK):
            chunk = shard.tokens[start : start + _CHUNK]
            if chunk.max() >= vocabulary.size:
                raise _outside(shard, start + int(np.argmax(chunk >= vocabulary.size)), vocabulary)
            counts += np.bincount(chunk, minlength=vocabulary.size)
    return counts


def _outside(shard: Shard, index: int, vocabulary: Vocabulary) -> DataError:
    number = shard.first + index
    offset = shard.header + number * shard.tokens.itemsize
    return DataError(
        f"{shard.path}: token id {int(shard.tokens[index])} at byte {offset} (token {number}) is outside the "
        f"vocabulary {vocabulary.label!r} of {vocabulary.size} ids. Set task.tokenizer to the one that made the shard, "
        "or fetch the shard again."
    )


def split_shards(shards: Sequence[Shard], share: float) -> tuple[list[Shard], list[Shard]]:
    """The stream of ids in the shards without its last ``share``, and that last part; together they are the stream."""
    total = sum(len(shard.tokens) for shard in shards)
    cut = min(max(1, total - round(total * share)), total - 1)
    train, validation = [], []
    for shard in shards:
        count = len(shard.tokens)
        here = min(cut, count)
        train.append(shard.part(0, here))
        validation.append(shard.part(here, count))
        cut -= here
    return [each for each in train if len(each.tokens)], [each for each in validation if len(each.tokens)]


def shard_tokens(settings: LanguageModel, folder: Path, vocabulary: Vocabulary) -> TokenData:
    """The tokens of the shards that ``settings`` names, every id checked once; the verdict is kept in ``folder``.

    Without validation files, the last ``validation_share`` of the tokens is for validation.

    Raises:
        DataError: a shard is missing, damaged, or has changed since the run began.
    """
    paths = find_files(settings.files, where="task.files")
    held_out = find_files(settings.validation_files, where="task.validation_files")
    refuse_overlap(paths, held_out)
    train, validation = [open_shard(path) for path in paths], [open_shard(path) for path in held_out]
    if not validation:
        train, validation = split_shards(train, settings.validation_share)
    counts = _checked(train, validation, folder, vocabulary)
    pieces = [tuple(shard.tokens for shard in part) for part in (train, validation)]
    return TokenData(", ".join(settings.files), vocabulary, pieces[0], pieces[1], counts)


def _checked(train: Sequence[Shard], validation: Sequence[Shard], folder: Path, vocabulary: Vocabulary) -> Tokens:
    """How often each id occurs in training, all ids having been checked now or when ``folder`` was made."""
    stamps = _stamps({shard.path for shard in [*train, *validation]})
    known = _known(folder) if folder.exists() else None
    if known and known[0] == stamps:
        return known[1]
    counts = count_ids(train, vocabulary)
    count_ids(validation, vocabulary)
    if known and not np.array_equal(known[1], counts):
        raise DataError(
            f"task.files: the token shards have changed since {folder} was made, so a continued run would train on "
            "other data. Put the old files back, or start anew (--fresh)."
        )
    if not known:
        with staged_folder(folder) as staging:
            np.save(staging / "train_counts.npy", counts, allow_pickle=False)
            (staging / "facts.json").write_text(json.dumps(stamps, indent=1), encoding="utf-8")
    return counts


def _stamps(paths: Iterable[Path]) -> dict[str, list[int]]:
    """Size and time of change of each file."""
    return {str(path): [path.stat().st_size, path.stat().st_mtime_ns] for path in sorted(paths)}


def _known(folder: Path) -> tuple[dict[str, list[int]], Tokens]:
    try:
        stamps = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
        return stamps, np.load(folder / "train_counts.npy", allow_pickle=False)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{folder}: is damaged ({error}). Delete it; the token shards are then checked again."
        ) from error
