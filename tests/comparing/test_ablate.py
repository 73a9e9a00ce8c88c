"""A configuration beside its controls: planned, carried out, continued, compared."""

import json
import logging
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from evoweights.cli import main
from evoweights.comparing.control import entries_of
from evoweights.config.loading import load_config
from evoweights.errors import UsageError
from evoweights.runs import session
from evoweights.runs.controls import plan

PLUGIN = """
from dataclasses import dataclass
from evoweights import hookimpl
from evoweights.catalog import setting
from evoweights.comparing.control import override


@dataclass(frozen=True)
class Slow:
    "A tenth of the learning rate."
    name, source = "slow", "a test"
    share: float = setting(0.1, "share of the learning rate", minimum=0.0)

    def applies(self, config):
        return bool(config.improve)

    def overrides(self, config):
        return [override("improve.0.learning_rate", config.improve[0].component.learning_rate * self.share)]


@dataclass(frozen=True)
class Same:
    "Nothing else."
    name, source = "same", "a test"

    def applies(self, config):
        return True

    def overrides(self, config):
        return ["seed=7"]


@hookimpl
def register(catalog):
    catalog.add("control", Slow)
    catalog.add("control", Same)
"""
CONFIG = """
seed: 5
generations: 3
task: {name: digits, hidden: [8], batch: 8, train_images: 64, validation_images: 32}
population: {name: individuals, size: 2}
improve: [{name: adamw, steps: 3, learning_rate: 0.02}]
plugins: [./controls_of_mine.py]
observers: [{name: console}]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "controls_of_mine.py").write_text(PLUGIN)
    (tmp_path / "mine.yaml").write_text(CONFIG)
    return tmp_path


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def evoweights(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    logger = logging.getLogger("evoweights")
    level, handlers = logger.level, list(logger.handlers)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["evoweights", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        written = capsys.readouterr()
        return int(caught.value.code or 0), written.out, written.err

    yield call
    logger.setLevel(level)
    logger.handlers[:] = handlers


def runs() -> list[str]:
    return sorted(each.name for each in Path("runs").iterdir())


def test_an_ablation_runs_every_seed_and_control_and_says_what_it_found(evoweights: Command) -> None:
    code, out, err = evoweights("ablate", "mine.yaml", "--seeds", "2")
    assert code == 0 and "control same is the configuration itself; it is left out" in err
    assert runs() == ["mine-s5", "mine-s6", "mine-slow-s5", "mine-slow-s6"]
    assert all((Path("runs") / each / "DONE").exists() for each in runs())
    assert "(1/4) mine, seed 5" in out and "Validation loss at equal images" in out
    assert re.search(r"slow is higher by 0\.\d+ \(95 % interval|slow: no difference seen \(", out)
    assert "improve.0.learning_rate: 0.02 -> 0.002" in out


def test_the_same_command_takes_finished_runs_as_they_are_and_continues_others(
    evoweights: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = evoweights("ablate", "mine.yaml", "--seeds", "1", "--json")
    before = {file: file.read_bytes() for file in Path("runs").rglob("metrics.jsonl")}
    opened = []
    monkeypatch.setattr(session, "open_engine", lambda *given, **named: opened.append(given))
    again = evoweights("ablate", "mine.yaml", "--seeds", "1", "--json")
    assert again[0] == 0 and again[1] == first[1] and not opened
    assert before == {file: file.read_bytes() for file in Path("runs").rglob("metrics.jsonl")}


def test_an_ablation_as_json_is_nothing_but_json(evoweights: Command) -> None:
    code, out, _ = evoweights("ablate", "mine.yaml", "--seeds", "1", "--controls", "slow", "--json")
    found = json.loads(out)
    assert code == 0 and found["first"] == "mine"
    (row,) = found["rows"]["tokens"]
    assert row["label"] == "slow" and row["points"][-1]["share"] == 1.0
    assert row["verdict"].endswith("one seed: no interval, so nothing can be said of chance")


def test_a_comparison_of_the_folders_is_that_of_the_ablation(evoweights: Command) -> None:
    found = json.loads(evoweights("ablate", "mine.yaml", "--seeds", "2", "--json")[1])
    folders = ["runs/mine-s5", "runs/mine-s6", "runs/mine-slow-s5", "runs/mine-slow-s6"]
    code, out, _ = evoweights("compare", *folders, "--json")
    again = json.loads(out)
    assert code == 0 and (again["first"], again["rows"]["tokens"][0]["label"]) == ("mine", "mine-slow")
    assert again["rows"]["tokens"][0]["points"] == found["rows"]["tokens"][0]["points"]
    code, out, _ = evoweights("compare", *folders)
    assert code == 0 and "mine: validation loss" in out and "2 seeds, standard deviation" in out


def test_an_unknown_control_is_refused_before_anything_runs(evoweights: Command) -> None:
    code, _, err = evoweights("ablate", "mine.yaml", "--controls", "slwo")
    assert code == 2 and "no control is called 'slwo'" in err and "Did you mean 'slow'?" in err
    assert not Path("runs").exists()


def test_a_run_that_names_controls_ends_with_the_comparison(evoweights: Command) -> None:
    code, out, _ = evoweights("run", "mine.yaml", "controls=[slow]", "--quiet")
    assert code == 0 and runs() == ["mine", "mine-slow"]
    assert out.index("mine finished") < out.index("control slow: runs/mine-slow") < out.index("equal images")
    config = load_config("mine.yaml", ["controls=[slow]"])
    assert [each.name for each in config.controls] == ["slow"]
    assert "controls:\n- name: slow\n  share: 0.1\n" in Path("runs/mine/config.yaml").read_text()
    assert "controls: []" in Path("runs/mine-slow/config.yaml").read_text()


def test_the_same_command_goes_on_with_the_controls_of_a_finished_run(evoweights: Command) -> None:
    first = evoweights("run", "mine.yaml", "controls=[slow]", "--quiet")[1]
    (Path("runs/mine-slow") / "DONE").unlink()
    for arguments in (["run", "mine.yaml", "controls=[slow]", "--quiet"], ["resume", "runs/mine", "--quiet"]):
        code, out, _ = evoweights(*arguments)
        assert code == 0 and "The run runs/mine is finished" in out.replace(os.getcwd() + "/", "")
        assert out[out.index("mine: validation loss") :] == first[first.index("mine: validation loss") :]
    assert (Path("runs/mine-slow") / "DONE").exists()


def test_controls_of_a_fresh_run_lie_beside_it(evoweights: Command) -> None:
    evoweights("run", "mine.yaml", "controls=[slow]", "--quiet")
    code, out, _ = evoweights("run", "mine.yaml", "controls=[slow]", "--quiet", "--fresh")
    assert code == 0 and runs() == ["mine", "mine-2", "mine-2-slow", "mine-slow"]
    assert "mine-2: validation loss" in out


def test_a_control_with_settings_of_its_own_is_used_with_them(evoweights: Command) -> None:
    chosen = "controls=[{name: slow, share: 0.5}]"
    assert evoweights("run", "mine.yaml", chosen, "--quiet")[0] == 0
    config = load_config("mine.yaml", [chosen])
    (planned,) = plan(config, config.controls, left_out=lambda line: None)
    assert entries_of(planned.config, "improve")[0]["learning_rate"] == 0.01
    assert "learning_rate: 0.01" in Path("runs/mine-slow/config.yaml").read_text()


def test_a_mistake_in_a_control_is_told_before_the_run(evoweights: Command) -> None:
    code, _, err = evoweights("run", "mine.yaml", "controls=[slow]", "improve=[]")
    assert code == 2 and "slow says nothing about this configuration" in err and not Path("runs").exists()
    code, _, err = evoweights("validate", "mine.yaml", "controls=[slow]", "improve=[]")
    assert code == 2 and "slow says nothing about this configuration" in err
    with pytest.raises(UsageError, match=r"controls\.0\.share: found 'half'; expected a number"):
        load_config("mine.yaml", ["controls=[{name: slow, share: half}]"])
    with pytest.raises(UsageError, match="no control is called 'slwo'"):
        load_config("mine.yaml", ["controls=[slwo]"])


def test_a_stopped_ablation_says_how_to_go_on(evoweights: Command) -> None:
    stopper = PLUGIN.replace("@hookimpl\n", STOP + "\n\n@hookimpl\n", 1)
    Path("controls_of_mine.py").write_text(stopper)
    code, out, err = evoweights("ablate", "mine.yaml", "--seeds", "1")
    assert code == 130
    assert err.endswith("mine-slow-s5: Stopped. The same command continues with it, and then does what is left.\n")
    assert "(1/2)" in out and "(2/2)" in out and not (Path("runs/mine-slow-s5") / "DONE").exists()
    Path("stop_no_more").touch()
    code, out, _ = evoweights("ablate", "mine.yaml", "--seeds", "1")
    assert code == 0 and "equal images" in out and (Path("runs/mine-slow-s5") / "DONE").exists()


STOP = """
import os
from evoweights.errors import RunStopped


@hookimpl
def generation_finished(info, record):
    if info.name.startswith("mine-slow") and record.generation == 1 and not os.path.exists("stop_no_more"):
        raise RunStopped("Stopped.", exit_code=130)
"""


def test_a_control_that_diverges_is_compared_as_far_as_it_came(evoweights: Command) -> None:
    code, out, err = evoweights("run", "mine.yaml", "controls=[{name: slow, share: 1.0e+30}]", "--quiet")
    assert code == 0 and "diverged and is compared as far as it came" in err
    assert "mine-slow is failed, not finished" in out
