"""A tokenizer or a model's configuration that is JSON but makes no sense deep inside is one clear error."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evoweights.errors import DataError, UsageError
from evoweights_lm.vocabulary import tokenizer_file, train_bpe


def _tokenizer() -> dict[str, Any]:
    tokenizer = train_bpe(["some text here, some text there"] * 3, 270).tokenizer
    assert tokenizer is not None
    return json.loads(tokenizer.to_str())


def _model(**changes: Any) -> dict[str, Any]:
    whole = _tokenizer()
    return {**whole, "model": {**whole["model"], **changes}}


MALFORMED = {
    "no model": lambda: {**_tokenizer(), "model": {}},
    "unknown model": lambda: _model(type="Nope"),
    "an id that is text": lambda: _model(vocab={"a": "b"}),
    "a negative id": lambda: _model(vocab={"a": -1}),
    "a merge of unknown tokens": lambda: _model(merges=[["zz", "yy"]]),
    "no token": lambda: {**_model(vocab={}, merges=[]), "added_tokens": []},
    "a bad added token": lambda: {**_tokenizer(), "added_tokens": [{"id": "x"}]},
    "a pattern that is none": lambda: {
        **_tokenizer(),
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated", "invert": False},
    },
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_tokenizer_that_is_malformed_deep_inside_is_named(tmp_path: Path, what: str) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(MALFORMED[what]()))
    with pytest.raises(DataError, match=r"tokenizer\.json: is no tokenizer .*\(\S.*\)\. Fetch or make it again"):
        tokenizer_file(tmp_path / "tokenizer.json")


def test_a_tokenizer_without_a_token_is_said_to_have_none(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(MALFORMED["no token"]()))
    with pytest.raises(DataError, match=r"is no tokenizer that can be used \(it has no token\)"):
        tokenizer_file(tmp_path / "tokenizer.json")


def test_json_too_deep_to_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"tokenizer\.json: is damaged or no JSON"):
        tokenizer_file(tmp_path / "tokenizer.json")


@pytest.mark.parametrize(
    "content", ["[]", "7", '{"eos_token": 7}', '{"eos_token": {"content": [1]}}', '{"eos_token": []}']
)
def test_a_tokenizer_config_of_another_form_says_nothing_or_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(_tokenizer()))
    (tmp_path / "tokenizer_config.json").write_text(content)
    with pytest.raises(DataError, match=r"tokenizer_config\.json: its eos_token is no text\. Correct the file"):
        tokenizer_file(tmp_path / "tokenizer.json")


@pytest.mark.parametrize(
    "changes",
    [
        {"n_embd": "x"},
        {"n_head": None},
        {"n_layer": [1]},
        {"n_embd": 10, "n_head": 3},
        {"vocab_size": {}},
        {"n_positions": "many"},
        {"activation_function": 7},
        {"activation_function": "no such"},
        {"model_type": 7},
    ],
)
def test_a_configuration_with_wrong_values_is_one_clear_error(
    open_text, tmp_path: Path, changes: dict[str, Any]
) -> None:
    facts = {"model_type": "gpt2", "vocab_size": 257, "n_positions": 32, "n_embd": 16, "n_layer": 2, "n_head": 2}
    (tmp_path / "config.json").write_text(json.dumps(facts | changes))
    with pytest.raises((DataError, UsageError), match=r"^task\.model: .*[^:]$") as raised:
        open_text(model=str(tmp_path / "config.json")).build()
    assert len(str(raised.value).splitlines()) == 1


SIZES = {
    "gpt2": {"vocab_size": 257, "n_positions": 32, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_inner": 32},
    "llama": {
        **{"vocab_size": 257, "max_position_embeddings": 32, "hidden_size": 16, "num_hidden_layers": 2, "head_dim": 8},
        **{"num_attention_heads": 2, "intermediate_size": 32, "num_key_value_heads": 2},
    },
}


@pytest.mark.parametrize("value", [-1, 0])
@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, sizes in SIZES.items() for name in sizes])
def test_a_size_below_one_is_one_clear_error(open_text, tmp_path: Path, kind: str, name: str, value: int) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, **SIZES[kind]}))
    open_text(model=str(tmp_path / "config.json")).build()
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, **SIZES[kind], name: value}))
    with pytest.raises((DataError, UsageError), match=r"^task\.model: .*[^:]$") as raised:
        open_text(model=str(tmp_path / "config.json"))
    assert len(str(raised.value).splitlines()) == 1


def test_a_size_below_one_is_named_as_the_configuration_calls_it(open_text, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2", **SIZES["gpt2"], "n_layer": -1}))
    with pytest.raises(UsageError, match=r"sets n_layer to -1, but a size must be 1 or more"):
        open_text(model=str(tmp_path / "config.json"))


@pytest.mark.parametrize(
    "change",
    [
        lambda facts: [],
        lambda facts: 7,
        lambda facts: list(facts),
        lambda facts: {},
        *(lambda facts, name=name: {**facts, name: None} for name in ("fingerprint", "tokenizer", "train")),
        *(lambda facts, name=name: {**facts, name: [1]} for name in ("fingerprint", "tokenizer", "validation")),
        lambda facts: {**facts, "train": "many"},
        lambda facts: {**facts, "train": True},
        lambda facts: {key: value for key, value in facts.items() if key != "validation"},
    ],
)
def test_facts_of_another_form_beside_cached_tokens_are_one_clear_error(
    open_text, tmp_path: Path, change: Callable[[Any], Any]
) -> None:
    open_text()
    (path,) = (tmp_path / "run").rglob("facts.json")
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(
        DataError,
        match=r"facts\.json: the cached tokens are damaged \(.*(instead of named facts|which is no \w+)\)\. Delete the folder",
    ):
        open_text()


def test_facts_too_deep_to_be_read_are_one_clear_error(open_text, tmp_path: Path) -> None:
    open_text()
    (path,) = (tmp_path / "run").rglob("facts.json")
    path.write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"facts\.json: the cached tokens are damaged"):
        open_text()


@pytest.mark.parametrize("tokens", [np.array(3), np.zeros((2, 3), np.uint16), np.zeros(9), np.array(["a"] * 9)])
def test_cached_tokens_that_are_no_list_of_whole_numbers_are_one_clear_error(open_text, tmp_path: Path, tokens) -> None:
    open_text()
    (path,) = (tmp_path / "run").rglob("train.npy")
    facts = json.loads((path.parent / "facts.json").read_text()) | {"train": tokens.shape[0] if tokens.ndim else 1}
    (path.parent / "facts.json").write_text(json.dumps(facts))
    np.save(path, tokens)
    with pytest.raises(DataError, match=r"train\.npy: the cached tokens are damaged \(.* instead of token ids\)"):
        open_text()


def test_cached_tokens_that_are_fewer_than_there_were_are_one_clear_error(open_text, tmp_path: Path) -> None:
    open_text()
    (path,) = (tmp_path / "run").rglob("train.npy")
    count = len(np.load(path))
    np.save(path, np.load(path)[:9])
    with pytest.raises(DataError, match=rf"train\.npy: the cached tokens are damaged \(9 tokens instead of {count}\)"):
        open_text()


@pytest.mark.parametrize("what", ["no model", "an id that is text"])
def test_a_malformed_tokenizer_in_a_models_folder_is_one_clear_error(open_text, tmp_path: Path, what: str) -> None:
    facts = {"model_type": "gpt2", "vocab_size": 257, "n_positions": 32, "n_embd": 16, "n_layer": 2, "n_head": 2}
    (tmp_path / "config.json").write_text(json.dumps(facts))
    (tmp_path / "tokenizer.json").write_text(json.dumps(MALFORMED[what]()))
    with pytest.raises(DataError, match=r"^task\.model: the tokenizer of .* cannot be used: \S"):
        open_text(model=str(tmp_path), tokenizer="auto")
