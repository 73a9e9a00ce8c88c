"""What the README says of the repository is so; its blocks and links are tested with those of all pages, in tests/docs."""

import re
from pathlib import Path

import pytest

from evoweights.cli.app import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
GROUPS = [group.name for group in app.registered_groups]
COMMANDS = [each.callback.__name__ for each in app.registered_commands if each.callback]


def test_the_operator_takes_about_fifteen_lines() -> None:
    (shown,) = re.findall(r"```python [^\n]*\n(.*?)```", README, flags=re.DOTALL)
    assert len([line for line in shown.splitlines() if line.strip()]) <= 17
    assert shown.strip() in (ROOT / "examples" / "local_operator" / "my_operator.py").read_text()


@pytest.mark.parametrize("name", [*COMMANDS, *GROUPS])
def test_every_command_is_in_the_readme(name: str) -> None:
    assert f"evoweights {name}" in README or f"`{name} " in README or f"`{name}`" in README


def test_the_tree_of_the_guide_for_contributors_is_the_tree() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    (tree,) = re.findall(r"```text\n(src/evoweights/.*?)```", guide, flags=re.DOTALL)
    folders = re.findall(r"(?:^| )((?:\w+/)+)(?=\s)", tree, flags=re.MULTILINE)
    assert len(folders) > 15
    for folder in folders:
        assert any((ROOT / base / folder).is_dir() for base in ("", "src/evoweights", "plugins", "kernels")), folder
