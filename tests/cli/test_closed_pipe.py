"""A reader that goes away, such as ``head``, ends a listing and no run: nothing is lost, and nothing is called a bug."""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_line import FAST, SMALL, CommandLine, Outcome

SHOWN = SMALL.replace("observers: []", "plugins: [./fast.py]")
UNREAD = "nobody reads what the run shows any more; it goes on all the same, and `evoweights status` looks at it\n"


@contextmanager
def closed(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    """Whoever read a stream has gone; set within a test, since pytest puts its own in place when one begins."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, name, stream)
        yield


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch, evoweights: CommandLine) -> Callable[..., Outcome]:
    """Calls ``evoweights`` where nobody reads stdout."""
    Path("shown.yaml").write_text(SHOWN)
    Path("fast.py").write_text(FAST)

    def call(*words: str) -> Outcome:
        with closed(monkeypatch, "stdout"):
            return evoweights(*words)

    return call


def test_a_run_goes_on_and_says_once_that_nobody_reads(evoweights: CommandLine, unread: Callable[..., Outcome]) -> None:
    outcome = unread("run", "shown.yaml", "name=alone")
    assert (outcome.code, outcome.err) == (0, UNREAD)
    read = evoweights("run", "small.yaml", "name=read")
    assert read.code == 0
    for part in ("best/genome.safetensors", "lineage.jsonl"):
        assert (Path("runs/alone") / part).read_bytes() == (Path("runs/read") / part).read_bytes()


@pytest.mark.parametrize("words", [["run", "shown.yaml", "controls=[fast]"], ["ablate", "shown.yaml", "--seeds", "1"]])
def test_the_controls_of_a_run_are_carried_out_all_the_same(unread: Callable[..., Outcome], words: list[str]) -> None:
    outcome = unread(*words)
    assert outcome.code == 0 and "Traceback" not in outcome.err
    assert len(list(Path("runs").glob("shown*/DONE"))) == 2


@pytest.mark.parametrize("words", [["operators"], ["operators", "--json"], ["--help"], ["--version"]])
def test_a_listing_that_nobody_reads_is_over(unread: Callable[..., Outcome], words: list[str]) -> None:
    outcome = unread(*words)
    assert (outcome.code, outcome.err) == (0, "")


WRONG = [["run", "none.yaml"], ["run", "--nonsense"], ["nonsense"], ["operators", "--config"]]


@pytest.mark.parametrize("words", WRONG)
def test_an_error_that_nobody_reads_has_its_exit_code(
    evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    with closed(monkeypatch, "stderr"):
        assert evoweights(*words).code == 2


@pytest.mark.parametrize("words", WRONG)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_an_error_that_cannot_be_written_has_its_exit_code(
    evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    with open("/dev/full", "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        assert evoweights(*words).code == 2


@pytest.mark.parametrize("code", [1, 2, 5])
def test_an_exit_code_stays_where_a_plugin_has_replaced_stdout(
    evoweights: CommandLine, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def app(prog_name: str) -> None:
        monkeypatch.setattr(sys, "stdout", io.StringIO())
        sys.exit(code)

    monkeypatch.setattr("evoweights.cli.app.app", app)
    assert evoweights("operators").code == code
