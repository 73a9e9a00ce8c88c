"""A tokenizer or a model's configuration that is JSON but makes no sense deep inside is one clear error."""

import json
from pathlib import Path
from typing import Any

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
    with pytest.raises(DataError, match=r"tokenizer_config\.json: "):
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


@pytest.mark.parametrize("what", ["no model", "an id that is text"])
def test_a_malformed_tokenizer_in_a_models_folder_is_one_clear_error(open_text, tmp_path: Path, what: str) -> None:
    facts = {"model_type": "gpt2", "vocab_size": 257, "n_positions": 32, "n_embd": 16, "n_layer": 2, "n_head": 2}
    (tmp_path / "config.json").write_text(json.dumps(facts))
    (tmp_path / "tokenizer.json").write_text(json.dumps(MALFORMED[what]()))
    with pytest.raises(DataError, match=r"^task\.model: the tokenizer of .* cannot be used: \S"):
        open_text(model=str(tmp_path), tokenizer="auto")
