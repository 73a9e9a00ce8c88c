"""What a continued run notices of changed data, tokenizers and models, and what it does not take for a change."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoweights_lm import fingerprint
from evoweights_lm.fingerprint import BLOCK, WHOLE, tokenizer_digest, tokens_digest
from evoweights_lm.origin import Origin
from evoweights_lm.vocabulary import byte_vocabulary, known_vocabulary, train_bpe

PARTS = {"training data", "validation data", "tokenizer", "model"}


def different(left, right) -> set[str]:
    then, now = left.fingerprint(), right.fingerprint()
    assert then.keys() == now.keys() == PARTS
    return {name for name in then if then[name] != now[name]}


def test_the_same_text_has_the_same_fingerprint_wherever_it_lies(open_text, text_file):
    moved = text_file.with_name("moved.txt")
    shutil.copy(text_file, moved)
    first = open_text(folder="one", tokenizer="bpe", vocabulary_size=300)
    again = open_text(folder="two", tokenizer="bpe", vocabulary_size=300, files=[str(moved)], batch=8)
    cached = open_text(folder="one", tokenizer="bpe", vocabulary_size=300)
    assert different(first, again) == set() == different(first, cached)


@pytest.mark.parametrize(("at", "part"), [(10, "training data"), (-10, "validation data")])
def test_one_other_letter_in_the_text_is_a_difference_once_the_tokens_are_made_again(open_text, text_file, at, part):
    first = open_text()
    then = first.fingerprint()
    content = bytearray(text_file.read_bytes())
    content[at] = ord("X")
    text_file.write_bytes(content)
    shutil.rmtree(first.place.folder)
    now = open_text().fingerprint()
    assert {name for name in PARTS if then[name] != now[name]} == {part}


def test_another_tokenizer_is_a_difference(open_text):
    assert "tokenizer" in different(open_text(folder="one"), open_text(folder="two", tokenizer="bpe"))


@pytest.mark.parametrize(
    "changes",
    [{"activation_function": "relu"}, {"n_head": 4}, {"layer_norm_epsilon": 0.1}, {"tie_word_embeddings": False}],
)
def test_a_config_of_the_same_shapes_but_another_function_is_a_difference(open_text, tmp_path, changes):
    facts = {"model_type": "gpt2", "vocab_size": 257, "n_positions": 32, "n_embd": 16, "n_layer": 2, "n_head": 2}
    config = tmp_path / "config.json"
    config.write_text(json.dumps(facts))
    first = open_text(model=str(config))
    then = first.fingerprint()
    config.write_text(json.dumps({"transformers_version": "4.0", **dict(reversed(facts.items()))}, indent=4))
    assert first.fingerprint() == then == open_text(model=str(config)).fingerprint()
    config.write_text(json.dumps(facts | changes))
    assert different(first, open_text(model=str(config))) <= {"model"}
    assert open_text(model=str(config)).fingerprint()["model"] != then["model"]


def test_presets_differ_as_soon_as_one_number_of_them_does(open_text):
    task = open_text()
    size = task.origin.size
    assert size is not None
    digests = {
        fingerprint.model_digest(dataclasses.replace(task.origin, size=each))
        for each in (size, dataclasses.replace(size, heads=8), dataclasses.replace(size, activation="relu"))
    }
    assert len(digests) == 3


def test_a_model_of_the_hub_is_known_by_its_config_file_not_by_what_a_library_makes_of_it(tmp_path, monkeypatch):
    import huggingface_hub
    import transformers

    facts = {"model_type": "gpt2", "vocab_size": 257, "n_positions": 32, "n_embd": 16, "n_layer": 2, "n_head": 2}
    snapshot = tmp_path / "hub" / "models--someone--model" / "snapshots" / ("a" * 40)
    for folder in (snapshot, tmp_path / "local"):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(facts))
    (refs := tmp_path / "hub" / "models--someone--model" / "refs").mkdir()
    (refs / "main").write_text("a" * 40)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    hub = Origin("someone/model", path="someone/model", pretrained=True, hub=True)
    then = fingerprint.model_digest(hub)
    assert then == fingerprint.model_digest(Origin("local", path=str(tmp_path / "local")))
    monkeypatch.setattr(transformers.PretrainedConfig, "to_dict", lambda self: {"another": "version"})
    monkeypatch.setattr(transformers.PretrainedConfig, "to_diff_dict", lambda self: {"another": "version"})
    assert fingerprint.model_digest(hub) == then
    (snapshot / "config.json").write_text(json.dumps(facts | {"n_layer": 3}))
    assert fingerprint.model_digest(hub) != then


@settings(max_examples=60)
@given(st.lists(st.integers(0, 500), min_size=1, max_size=40), st.data())
def test_any_change_of_a_small_corpus_is_a_difference(ids, data):
    tokens = np.array(ids, dtype=np.uint16)
    at, cut = data.draw(st.integers(0, len(ids) - 1)), data.draw(st.integers(0, len(ids)))
    other = tokens.copy()
    other[at] += 1
    same = tokens_digest([tokens.astype(np.uint32)])
    assert tokens_digest([tokens]) == same
    assert len({same, tokens_digest([other]), tokens_digest([tokens[:-1]]), tokens_digest([tokens, tokens])}) == 4
    assert tokens_digest([tokens[:cut], tokens[cut:]]) != same


def test_a_long_piece_is_read_at_its_ends_and_evenly_between_and_by_its_counts():
    whole = np.zeros(WHOLE, dtype=np.uint16)
    whole[BLOCK + 1] = 1
    assert tokens_digest([whole]) != tokens_digest([np.zeros_like(whole)])
    tokens = np.zeros(WHOLE + 5, dtype=np.uint16)
    same = tokens_digest([tokens], np.bincount(tokens))
    for at in (0, BLOCK - 1, len(tokens) - 1, len(tokens) - BLOCK):
        tokens[at] = 1
        assert tokens_digest([tokens]) != tokens_digest([np.zeros_like(tokens)])
        tokens[at] = 0
    tokens[BLOCK + 1] = 1  # between the blocks that are read
    assert tokens_digest([tokens]) == tokens_digest([np.zeros_like(tokens)])
    assert tokens_digest([tokens], np.bincount(tokens)) != same


def test_tokenizers_differ_by_their_tokens_and_known_vocabularies_by_their_size():
    texts = ["a gene, a genome, a population of genomes"] * 3
    found = [byte_vocabulary(), train_bpe(texts, 270), train_bpe(texts, 280), known_vocabulary("gpt2")]
    assert len({tokenizer_digest(each) for each in found}) == 4
    assert tokenizer_digest(train_bpe(texts, 270)) == tokenizer_digest(found[1])


def test_a_run_does_not_go_on_with_other_text_after_its_tokens_are_deleted(
    tmp_path: Path, text_file: Path, monkeypatch
):
    from evoweights.config.loading import config_from_text
    from evoweights.errors import DataError, RunStopped
    from evoweights.runs import session

    config = f"""
name: text
generations: 2
task: {{name: language_model, model: gpt2-nano, data: text, files: [{text_file}], tokenizer: bytes, context: 8, batch: 2,
       validation_tokens: 64}}
population: {{name: individuals, size: 1}}
observers: []
output: {tmp_path / "runs"}
"""
    with monkeypatch.context() as patch, pytest.raises(RunStopped):
        patch.setattr("evoweights.engine.Engine._checkpoint_if_due", lambda self: self._stop_here())
        session.run(config_from_text(config, where="test", folder=tmp_path))
    text_file.write_text("another text, as long as it needs to be. " * 50)
    shutil.rmtree(tmp_path / "runs" / "text" / "task")
    with pytest.raises(DataError, match="the training data and the validation data of the task now differ"):
        session.run(config_from_text(config, where="test", folder=tmp_path))
