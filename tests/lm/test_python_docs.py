import subprocess
import sys

import pytest

from evoweights.errors import DataError
from evoweights_lm import LanguageModel
from evoweights_lm.python_docs import python_docs_source

SHA = "import hashlib; from evoweights_lm.python_docs import python_docs_source as source; split = source(0.1).read();"


@pytest.fixture(scope="module")
def split():
    return python_docs_source(0.1).read()


def test_it_is_at_least_a_megabyte_of_text_in_many_documents(split):
    size = sum(map(len, split.train + split.validation))
    assert 1_000_000 < size < 6_000_000
    assert len(split.train) > 200
    assert abs(sum(map(len, split.validation)) / size - 0.1) < 0.02


def test_it_holds_the_language_reference_and_docstrings(split):
    text = "".join(split.train + split.validation)
    assert 'The "assert" statement' in text
    assert "Serialize ``obj`` as a JSON formatted stream to ``fp``" in text


def test_no_paragraph_of_docstrings_is_in_training_and_validation(split):
    train = set(split.train)
    assert not train & set(split.validation)


def test_it_is_the_same_in_another_process(split):
    code = SHA + "print(hashlib.sha256(repr((split.train, split.validation)).encode()).hexdigest())"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    import hashlib

    assert ran.stdout.strip() == hashlib.sha256(repr((split.train, split.validation)).encode()).hexdigest()


def library(folder, count):
    """A standard library of ``count`` modules, with all that must be passed over."""
    (folder / "pydoc_data").mkdir(parents=True)
    (folder / "test").mkdir()
    (folder / "pydoc_data" / "topics.py").write_text("# made\ntopics = {'if': 'The if statement\\n', 'for': 'Loops'}\n")
    (folder / "test" / "test_it.py").write_text('"""Never read."""\n')
    (folder / "broken.py").write_text("def (:\n")
    for number in range(count):
        body = f'"""Module {number} {"x" * 1000}."""\ndef f():\n    """Said twice."""\n'
        body += f'class C:\n    r"""Raw \\d {number}"""\n'
        (folder / f"m{number}.py").write_text(body)
    return folder


def test_test_folders_and_repeated_docstrings_are_left_out_and_broken_files_logged(tmp_path, caplog):
    split = python_docs_source(0.1, root=library(tmp_path, 600)).read()
    text = "".join(split.train + split.validation)
    assert "Never read" not in text
    assert text.count("Said twice.") == 1
    assert text.count("Raw \\d") == 600
    assert "The if statement" in text
    assert "broken.py is left out" in caplog.text


def test_newer_topics_with_an_annotation_are_read(tmp_path):
    folder = library(tmp_path, 600)
    (folder / "pydoc_data" / "topics.py").write_text("topics: dict[str, str] = {'if': r'''Newer\nformat\\n'''}\n")
    split = python_docs_source(0.1, root=folder).read()
    assert "Newer\nformat\\n" in "".join(split.train + split.validation)


def test_a_python_without_sources_is_refused_with_advice(tmp_path):
    with pytest.raises(
        DataError, match=r"python_docs found only \d+ characters in .* use data: text with your own files"
    ):
        python_docs_source(0.1, root=library(tmp_path, 3)).read()


def test_the_quickstart_task_opens_and_its_fresh_model_knows_nothing(place_at):
    import math

    from evoweights.seeds import Noise, seeded

    task = LanguageModel(validation_tokens=2048).open(place_at())
    assert task.vocabulary.size == task.config.vocab_size == 2048
    assert len(task.corpus.train[0]) > 400_000
    with seeded(Noise(0, "model")):
        module = task.build()
    assert abs(task.evaluate(module) - math.log(2048)) < 0.1
    assert 5.5 < task.references()["unigram entropy"] < 7.0
