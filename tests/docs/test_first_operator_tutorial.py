"""The tutorial of the first operator is as short as it says: from an empty folder to a fused operator in a real run."""

import re
from pathlib import Path

import pytest

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
    ["plugins new", "pip install", "plugins check", "kernels show", "run configs/eoe_gpt2.yaml"],
)
def test_no_step_from_an_empty_folder_to_a_real_run_is_left_out(step: str) -> None:
    assert any(step in command for command in _commands())


def test_the_operator_is_in_the_vary_phase_of_that_run_and_fused() -> None:
    (run,) = [each for each in _commands() if "run configs/eoe_gpt2.yaml" in each]
    assert "vary.1={name: cautious" in run and "credit=false" in run
