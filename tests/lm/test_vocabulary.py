import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoweights.errors import DataError, UsageError
from evoweights_lm.vocabulary import END_OF_TEXT, byte_vocabulary, known_vocabulary, tokenizer_file, train_bpe

BYTES = byte_vocabulary()
LINES = [f"the {word} of line {number}\n" for number in range(300) for word in ("gene", "genome", "naïve café")]
BPE = train_bpe(LINES, 400)
unicode = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)


@given(unicode)
def test_bytes_are_their_own_ids_and_lose_nothing(text):
    ids = BYTES.encode(text)
    assert ids == list(text.encode())
    assert BYTES.decode(ids) == text


@given(unicode)
def test_bpe_loses_nothing(text):
    assert BPE.decode(BPE.encode(text)) == text


@pytest.mark.parametrize("vocabulary", [BYTES, BPE], ids=["bytes", "bpe"])
def test_what_looks_like_the_end_of_text_is_text(vocabulary):
    text = f"say {END_OF_TEXT} now"
    ids = vocabulary.encode(text)
    assert vocabulary.end_of_text not in ids
    assert vocabulary.decode(ids) == text


def test_sizes_count_every_id():
    assert (BYTES.size, BYTES.end_of_text) == (257, 256)
    assert BPE.size == 400
    assert BPE.decode([BPE.end_of_text]) == END_OF_TEXT


def test_bpe_is_the_same_for_the_same_text_in_another_process():
    code = (
        "import json, sys; from evoweights_lm.vocabulary import train_bpe;"
        "print(train_bpe(json.load(sys.stdin), 400).tokenizer.to_str())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(LINES), capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout.strip() == BPE.tokenizer.to_str()


@given(st.lists(unicode, max_size=5))
def test_documents_are_joined_by_the_end_of_text(documents):
    ids = BYTES.encode_documents(documents)
    assert ids.dtype == np.uint16
    assert ids.tolist() == [byte for text in documents for byte in [*text.encode(), 256]]


@pytest.mark.parametrize("text", ["ab" * 150, "line\n" * 60, "a" * 129 + "\n" + "b" * 200])
def test_long_documents_are_encoded_in_pieces_without_loss(monkeypatch, text):
    monkeypatch.setattr("evoweights_lm.vocabulary._PIECE", 64)
    monkeypatch.setattr("evoweights_lm.vocabulary._PIECES_AT_ONCE", 2)
    for vocabulary in (BYTES, BPE):
        ids = vocabulary.encode_documents([text])
        assert vocabulary.decode(ids) == text + END_OF_TEXT


def test_a_saved_tokenizer_gives_the_same_ids_and_finds_its_end_of_text(tmp_path):
    BPE.tokenizer.save(str(tmp_path / "tokenizer.json"))
    again = tokenizer_file(tmp_path / "tokenizer.json")
    assert (again.size, again.end_of_text) == (BPE.size, BPE.end_of_text)
    assert again.encode(LINES[3]) == BPE.encode(LINES[3])


def test_the_end_of_text_is_what_the_configuration_beside_says(tmp_path):
    vocabulary = train_bpe(LINES, 400)
    vocabulary.tokenizer.add_special_tokens(["<stop>"])
    vocabulary.tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": {"content": "<stop>"}}))
    assert tokenizer_file(tmp_path / "tokenizer.json").end_of_text == 400
    assert tokenizer_file(tmp_path / "tokenizer.json").size == 401


def test_truncation_in_a_tokenizer_file_does_not_shorten_the_corpus(tmp_path):
    vocabulary = byte_vocabulary()
    vocabulary.tokenizer.enable_truncation(4)
    vocabulary.tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert len(tokenizer_file(tmp_path / "tokenizer.json").encode("longer than four")) == 16


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", r"tokenizer\.json: is damaged or no JSON \(.*\)\. Fetch or make it again"),
        ("[1]", r"tokenizer\.json: is JSON but no tokenizer"),
        ('{"a": 1}', r"tokenizer\.json: is JSON but no tokenizer"),
    ],
)
def test_a_file_that_is_no_tokenizer_is_named(tmp_path, content, message):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(DataError, match=message):
        tokenizer_file(tmp_path / "tokenizer.json")


def test_a_tokenizer_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(
        DataError, match=r"absent\.json: cannot be read \(No such file or directory\)\. Correct task\.tokenizer"
    ):
        tokenizer_file(tmp_path / "absent.json")


def test_without_an_end_of_text_token_a_text_needs_a_prompt(open_text, tmp_path):
    vocabulary = json.loads(byte_vocabulary().tokenizer.to_str())
    (tmp_path / "tokenizer.json").write_text(json.dumps(vocabulary).replace(END_OF_TEXT, "<odd>"))
    task = open_text(tokenizer=str(tmp_path / "tokenizer.json"))
    with pytest.raises(UsageError, match=r"no end-of-text token to start from\. Give a prompt"):
        task.generate(task.build(layers=1), "", tokens=1)


def test_known_vocabularies_have_their_published_sizes():
    assert known_vocabulary("gpt2").size == 50257
    assert known_vocabulary("llama-3").dtype == np.uint32
    with pytest.raises(UsageError, match=r"'gpt3' is neither a file nor a known vocabulary \(gpt2, llama-3\)"):
        known_vocabulary("gpt3")
