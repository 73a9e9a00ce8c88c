"""The page on comparisons: its control works as it is printed, and it knows every control."""

import re
from pathlib import Path

from evoweights.config.loading import config_from_text
from evoweights.runs.controls import plan
from operators_under_test import registered

PAGE = (Path(__file__).parents[2] / "docs" / "comparing.md").read_text()
CONFIG = """
name: run
generations: 2
task: {name: digits}
population: {name: individuals}
improve: [{name: adamw, learning_rate: 0.02}]
plugins: [./slower.py]
controls: [{name: slower, share: 0.25}]
"""


def test_the_control_of_the_page_works_as_it_is_printed(tmp_path: Path) -> None:
    (block,) = re.findall(r'```python title="slower.py"\n(.*?)```', PAGE, re.DOTALL)
    (tmp_path / "slower.py").write_text(block)
    config = config_from_text(CONFIG, where="test", folder=tmp_path)
    (planned,) = plan(config, config.controls, left_out=lambda line: None)
    assert planned.config.name == "run-slower"
    assert planned.config.improve[0].component.learning_rate == 0.005


def test_every_control_is_on_the_page() -> None:
    names = {entry.name for entry in registered().entries("control")}
    assert names == {each for each in re.findall(r"`(\w+)`", PAGE[PAGE.index("## Controls") :]) if each in names}
    assert names >= {"dense", "random_search", "full"}
