"""Every configuration that is shipped validates and builds."""

from pathlib import Path

import pytest

from evoweights.config.loading import load_config
from evoweights.runs.planning import estimate

ROOT = Path(__file__).parents[2]
CONFIGS = [*sorted((ROOT / "configs").glob("*.yaml")), ROOT / "examples" / "local_operator" / "drift.yaml"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_it_validates_builds_and_takes_a_step(path: Path) -> None:
    found = estimate(load_config(path))
    assert found.genes > 0
    assert found.steps == 0 or found.seconds is not None


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_its_header_says_what_it_is(path: Path) -> None:
    assert path.read_text().startswith("# ")
