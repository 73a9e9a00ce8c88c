import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import SMALL, CommandLine


@pytest.fixture(autouse=True)
def no_plugin_is_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by whoever runs the tests nor by an earlier test."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    for each in ("EVOWEIGHTS_NO_PLUGINS", "EVOWEIGHTS_LOAD_PLUGINS", "EVOWEIGHTS_DISABLED_PLUGINS"):
        monkeypatch.delenv(each, raising=False)


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands take paths relative to where they are given."""
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(SMALL)


@pytest.fixture
def evoweights(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[CommandLine]:
    """The command line."""
    logger = logging.getLogger("evoweights")
    level, handlers = logger.level, list(logger.handlers)
    yield CommandLine(monkeypatch, capsys)
    logger.setLevel(level)
    logger.handlers[:] = handlers
