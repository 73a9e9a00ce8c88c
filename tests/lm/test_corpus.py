import numpy as np
import pytest

from evoweights.errors import DataError, UsageError


def test_tokens_are_made_once_and_anew_when_a_setting_changes(open_text, tmp_path, monkeypatch):
    from evoweights_lm.vocabulary import Vocabulary

    first = open_text(tokenizer="bpe", vocabulary_size=300)
    encode, calls = Vocabulary.encode_documents, []
    monkeypatch.setattr(Vocabulary, "encode_documents", lambda *each: calls.append(1) or encode(*each))
    again = open_text(tokenizer="bpe", vocabulary_size=300, context=8, batch=2)
    assert calls == []
    assert np.array_equal(first.corpus.train[0], again.corpus.train[0])
    assert again.tokenizer.to_str() == first.tokenizer.to_str()
    assert open_text(tokenizer="bpe", vocabulary_size=310).vocabulary.size == 310
    assert len(open_text(validation_share=0.3).corpus.train[0]) < len(open_text().corpus.train[0])
    assert len(list((tmp_path / "run").glob("tokens-*"))) == 4
    assert not list((tmp_path / "run").glob(".*"))


def test_text_that_changed_since_the_run_began_is_refused(open_text, text_file):
    open_text()
    text_file.write_text(text_file.read_text() + "one more line\n")
    with pytest.raises(DataError, match=r"corpus\.txt has changed since .* was made from it.*start anew \(--fresh\)"):
        open_text()


@pytest.mark.parametrize("name", ["train.npy", "facts.json", "tokenizer.json"])
def test_damaged_cached_tokens_are_named(open_text, tmp_path, name):
    open_text()
    (path,) = (tmp_path / "run").glob(f"tokens-*/{name}")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=rf"{name}: (the cached tokens are damaged|is damaged)"):
        open_text()


def test_text_too_short_for_the_context_is_refused_with_numbers(open_text):
    with pytest.raises(DataError, match=r"validation text: \d+ tokens are too few for a sequence of context 9999"):
        open_text(context=9999)


def test_unknown_models_and_tokenizers_are_refused_at_once_without_the_network(open_text):
    with pytest.raises(UsageError, match=r"'gpt2-nan' is no preset.* Did you mean 'gpt2-nano'.* needs task\.hub: true"):
        open_text(model="gpt2-nan")
    with pytest.raises(UsageError, match=r"of 'gpt2' only the size is known without the hub, so it can read no text"):
        open_text(tokenizer="gpt2")
    with pytest.raises(UsageError, match=r"'someone/bert' is neither a file nor a known vocabulary"):
        open_text(tokenizer="someone/bert")
