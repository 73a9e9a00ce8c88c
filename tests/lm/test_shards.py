import itertools
import os
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoweights.errors import DataError, UsageError
from evoweights_lm import LanguageModel
from evoweights_lm.shards import Shard, count_ids, open_shard, split_shards
from evoweights_lm.vocabulary import Vocabulary

SMALL = Vocabulary("small", 1000, 0, None)


def llmc(path, tokens, *, magic=20240520, version=1, count=None, dtype="<u2"):
    header = np.zeros(256, dtype="<i4")
    header[:3] = magic, version, len(tokens) if count is None else count
    path.write_bytes(header.tobytes() + np.asarray(tokens, dtype=dtype).tobytes())
    return path


def nanogpt(path, tokens):
    np.asarray(tokens, dtype="<u2").tofile(path)
    return path


def settings(path, **changed):
    return LanguageModel(**{"data": "token_shards", "files": [str(path)], "context": 8, "batch": 2, **changed})


tokens = st.lists(st.integers(0, 999), min_size=2, max_size=300)


@given(values=tokens)
def test_both_formats_give_back_what_was_written(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("shards")
    for shard in (
        open_shard(llmc(folder / "a.bin", values)),
        open_shard(llmc(folder / "b.bin", values, magic=20240801, version=7, dtype="<u4")),
        open_shard(nanogpt(folder / "c.bin", values)),
    ):
        assert shard.tokens.tolist() == values
        assert isinstance(shard.tokens, np.memmap)
        assert count_ids([shard], SMALL).tolist() == np.bincount(values, minlength=1000).tolist()


@given(st.lists(st.integers(1, 50), min_size=1, max_size=5).filter(lambda each: sum(each) > 1), st.floats(0.0001, 0.9))
def test_splitting_shards_keeps_the_stream_and_the_places(lengths, share):
    edges = np.cumsum([0, *lengths])
    shards = [Shard("file", 0, np.arange(start, end)) for start, end in itertools.pairwise(edges)]
    train, validation = split_shards(shards, share)
    assert train and validation
    joined = np.concatenate([shard.tokens for shard in [*train, *validation]])
    assert joined.tolist() == list(range(sum(lengths)))
    assert abs(sum(len(each.tokens) for each in validation) - share * sum(lengths)) <= 1
    assert all(each.tokens[0] - each.first in edges for each in [*train, *validation])


def test_an_opened_task_trains_and_validates_on_different_tokens(tmp_path, place_at):
    path = llmc(tmp_path / "a.bin", np.arange(2000))
    task = settings(path, validation_share=0.25).open(place_at())
    seen = np.concatenate([task.batch(index).inputs.numpy().ravel() for index in range(300)])
    held_out = np.concatenate([each.targets.numpy().ravel() for each in task.validation_batches()])
    assert seen.max() < 1500 <= held_out.min()
    assert len(set(seen.tolist())) > 1480
    assert task.vocabulary.size == 50257
    assert task.config.vocab_size == 50304
    assert task.sample(task.build(layers=1)) is None


def test_validation_files_are_used_instead_of_a_share(tmp_path, place_at):
    train, held = nanogpt(tmp_path / "t.bin", np.arange(100)), nanogpt(tmp_path / "v.bin", np.arange(100, 200))
    task = settings(train, validation_files=[str(held)]).open(place_at())
    assert [len(piece) for piece in task.corpus.train] == [100]
    assert [piece.tolist() for piece in task.corpus.validation] == [list(range(100, 200))]


def test_text_cannot_be_generated_when_only_the_vocabulary_size_is_known(tmp_path, place_at):
    task = settings(nanogpt(tmp_path / "a.bin", np.arange(100))).open(place_at())
    with pytest.raises(UsageError, match=r"of the tokenizer 'gpt2' only the size is known\. Set task\.tokenizer"):
        task.generate(task.build(layers=1), "x")


@pytest.mark.parametrize("format_, offset", [(llmc, 1024 + 2 * 70), (nanogpt, 2 * 70)])
@pytest.mark.parametrize("part", ["train", "validation"])
def test_an_id_outside_the_vocabulary_is_named_with_file_and_byte(tmp_path, place_at, format_, offset, part):
    values = np.zeros(100, dtype=int)
    values[70] = 50257
    path = format_(tmp_path / "bad.bin", values)
    share = {"train": 0.1, "validation": 0.5}[part]
    message = rf"bad\.bin: token id 50257 at byte {offset} \(token 70\) is outside the vocabulary 'gpt2' of 50257 ids"
    with pytest.raises(DataError, match=message):
        settings(path, validation_share=share).open(place_at())
    # Nothing of a corpus that was refused counts as checked.
    with pytest.raises(DataError, match=message):
        settings(path, validation_share=share).open(place_at())


def test_a_huge_id_is_refused_without_counting_up_to_it(tmp_path):
    path = llmc(tmp_path / "a.bin", [1, 4_000_000_000], magic=20240801, version=7, dtype="<u4")
    with pytest.raises(DataError, match="token id 4000000000 at byte 1028"):
        count_ids([open_shard(path)], SMALL)


def test_ids_beyond_the_first_chunk_are_checked(tmp_path, monkeypatch):
    monkeypatch.setattr("evoweights_lm.shards._CHUNK", 16)
    path = nanogpt(tmp_path / "a.bin", [*range(100), 1000, *range(50)])
    with pytest.raises(DataError, match=r"token id 1000 at byte 200 \(token 100\)"):
        count_ids([open_shard(path)], SMALL)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", r"bad\.bin: is empty\. Remove it"),
        (b"abc", r"bad\.bin: 3 bytes is no whole number of uint16 token ids \(a byte is left at offset 2\)"),
    ],
)
def test_files_without_header_that_are_no_token_ids_are_named(tmp_path, content, message):
    path = tmp_path / "bad.bin"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_shard(path)


@given(cut=st.integers(12, 1024 + 199))
def test_a_shard_cut_anywhere_is_found_and_the_offset_named(tmp_path_factory, cut):
    path = llmc(tmp_path_factory.mktemp("cut") / "bad.bin", range(100))
    path.write_bytes(path.read_bytes()[:cut])
    message = (
        rf"bad\.bin: its header promises 100 tokens, which makes 1224 bytes, but it ends at offset {cut}\. The file"
    )
    with pytest.raises(DataError, match=message):
        open_shard(path)


@pytest.mark.parametrize("count", [-1, 0, 99, 101, 2**31 - 1])
def test_a_header_with_another_count_is_refused(tmp_path, count):
    with pytest.raises(DataError, match=f"promises {count} tokens"):
        open_shard(llmc(tmp_path / "bad.bin", range(100), count=count))


def test_a_folder_in_place_of_a_shard_is_named(tmp_path):
    (tmp_path / "bad.bin").mkdir()
    with pytest.raises(
        DataError, match=r"bad\.bin: cannot be read \(Is a directory\)\. Check its permissions, or remove it"
    ):
        open_shard(tmp_path / "bad.bin")


def test_an_unknown_version_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"magic 20240520\) of version 2; only version 1 can be read"):
        open_shard(llmc(tmp_path / "bad.bin", range(100), version=2))


def test_a_header_cannot_be_taken_for_gpt2_tokens():
    for magic in (20240520, 20240801):
        assert magic & 0xFFFF >= 50257


def test_shards_are_checked_once_and_again_when_they_change(tmp_path, place_at, monkeypatch):
    path = nanogpt(tmp_path / "a.bin", np.arange(200))
    counted = []
    monkeypatch.setattr("evoweights_lm.shards.count_ids", lambda *arguments: counted.append(1) or count_ids(*arguments))
    first = settings(path).open(place_at())
    assert len(counted) == 2
    again = settings(path).open(place_at())
    assert len(counted) == 2
    assert first.corpus.train_counts.tolist() == again.corpus.train_counts.tolist()
    os.utime(path, ns=(time.time_ns(), 1))
    settings(path).open(place_at())
    assert len(counted) == 4
    nanogpt(path, np.arange(1, 201))
    with pytest.raises(DataError, match=r"token shards have changed since .* Put the old files back, or start anew"):
        settings(path).open(place_at())


def test_a_damaged_verdict_is_named(tmp_path, place_at):
    path = nanogpt(tmp_path / "a.bin", np.arange(200))
    settings(path).open(place_at())
    (facts,) = (tmp_path / "run").glob("shards-*/facts.json")
    facts.write_text("{")
    with pytest.raises(DataError, match=r"shards-\w+: is damaged .*\. Delete it; the token shards are then checked"):
        settings(path).open(place_at())
