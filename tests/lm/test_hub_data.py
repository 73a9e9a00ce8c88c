import sys
from types import SimpleNamespace

import pytest

from evoweights.errors import DataError, UsageError
from evoweights_lm import LanguageModel

ROWS = [{"text": f"document {number} of the hub\n" * 8, "id": number} for number in range(50)]
SETTINGS = {"data": "hub", "hub": True, "dataset": "someone/books", "tokenizer": "bytes", "context": 16}


def stand_in(monkeypatch, load):
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load))


def test_documents_are_streamed_from_the_named_dataset_and_kept(monkeypatch, place_at):
    asked = []
    stand_in(monkeypatch, lambda *each, **options: asked.append((each, options)) or iter(ROWS))
    settings = LanguageModel(**SETTINGS, dataset_config="en", dataset_revision="abc", documents=20)
    task = settings.open(place_at())
    assert asked == [(("someone/books", "en"), {"split": "train", "revision": "abc", "streaming": True})]
    text = task.vocabulary.decode([*task.corpus.train[0], *task.corpus.validation[0]])
    assert "document 19 of" in text
    assert "document 20 of" not in text
    settings.open(place_at())
    assert len(asked) == 1


def test_without_the_package_the_extra_is_named(monkeypatch, place_at):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UsageError, match=r"needs the package datasets .* pip install 'evoweights\[hub\]'"):
        LanguageModel(**SETTINGS).open(place_at())


def test_a_missing_field_is_named_with_those_that_exist(monkeypatch, place_at):
    stand_in(monkeypatch, lambda *each, **options: iter(ROWS))
    with pytest.raises(
        DataError, match=r"row 0 of 'someone/books' has no text in field 'body'\. Its fields are id, text"
    ):
        LanguageModel(**SETTINGS, text_field="body").open(place_at())


def test_an_empty_or_unreachable_dataset_is_named(monkeypatch, place_at):
    stand_in(monkeypatch, lambda *each, **options: iter([]))
    with pytest.raises(DataError, match=r"'someone/books' holds no text in its first 10000 rows"):
        LanguageModel(**SETTINGS).open(place_at())

    def refuse(*each, **options):
        raise ConnectionError("no route")

    stand_in(monkeypatch, refuse)
    with pytest.raises(DataError, match=r"'someone/books' cannot be read from the hub: no route"):
        LanguageModel(**SETTINGS).open(place_at())
