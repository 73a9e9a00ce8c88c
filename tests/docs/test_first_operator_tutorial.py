"""The tutorial of the first operator is as short as it says: from an empty folder to a fused operator in a real run."""

import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

PAGE = (Path(__file__).parents[2] / "docs" / "tutorials" / "first_operator.md").read_text()
WORDS = {"eight": 8, "nine": 9, "ten": 10, "fourteen": 14, "fifteen": 15}


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}[^\n]*\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)


def _commands() -> list[str]:
    lines = [line for block in _blocks("console") for line in block.splitlines()]
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def _promised(what: str) -> int:
    (word,) = re.findall(rf"\b(\w+)\s+{what}", PAGE.split("##")[0])
    return WORDS[word]


def test_it_takes_as_many_commands_as_it_says_and_at_most_ten() -> None:
    assert len(_commands()) == _promised("commands") <= 10


def test_the_author_writes_as_many_lines_as_it_says_and_at_most_fifteen() -> None:
    (code,) = _blocks("python")
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) == _promised("lines") <= 15


@pytest.mark.parametrize(
    "step",
    ["plugins new", "pip install", "plugins check", "kernels show", "run eoe_cautious.yaml"],
)
def test_no_step_from_an_empty_folder_to_a_real_run_is_left_out(step: str) -> None:
    assert any(step in command for command in _commands())


def test_the_operator_is_in_the_vary_phase_of_that_run_and_fused() -> None:
    (config,) = map(OmegaConf.create, _blocks("yaml"))
    assert [each.name for each in config.vary] == ["pso", "cautious"] and not config.credit


def test_that_run_is_the_repositorys_with_another_operator() -> None:
    (own,) = map(OmegaConf.create, _blocks("yaml"))
    theirs = OmegaConf.load(Path(__file__).parents[2] / "configs" / "eoe_gpt2.yaml")
    changed = {key for key in own if own[key] != theirs.get(key)}
    assert changed == {"name", "plugins", "credit", "vary"} and own.vary[0] == theirs.vary[0]
    assert set(theirs) <= set(own)
