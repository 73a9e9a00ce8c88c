import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from evoweights.seeds import Noise
from evoweights.task import TaskPlace
from evoweights_lm import LanguageModel

WORDS = [
    "gene",
    "genome",
    "individual",
    "population",
    "task",
    "turn",
    "improve",
    "vary",
    "evaluate",
    "select",
    "run",
    "row",
]


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Fails a test that tries to reach the network."""

    def refuse(self, address):
        raise AssertionError(f"tried to connect to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    """About 20 kB of text in lines, with letters outside ASCII."""
    path = tmp_path / "corpus.txt"
    lines = [
        f"{number}: the {WORDS[number * 7 % 12]} of a naïve {WORDS[number * 5 % 11]} … ok\n" for number in range(500)
    ]
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.fixture
def place_at(tmp_path: Path) -> Callable[..., TaskPlace]:
    """A place to open a task at, by seed and folder."""
    return lambda seed=0, folder="run": TaskPlace(tmp_path / folder, Noise(seed, "task"), torch.device("cpu"))


@pytest.fixture
def open_text(text_file, place_at):
    """Opens a small language task on ``text_file``; settings may be changed."""

    def open_(*, seed=0, folder="run", **changed):
        defaults = {
            "data": "text", "files": [str(text_file)], "tokenizer": "bytes", "context": 16, "batch": 4,
            "validation_tokens": 256, "sample_tokens": 8,
        }  # fmt: skip
        return LanguageModel(**{**defaults, **changed}).open(place_at(seed, folder))

    return open_
