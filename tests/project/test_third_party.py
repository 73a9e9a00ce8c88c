"""The example distribution, built, installed into a fresh environment, listed there and used by a run."""

import json
from pathlib import Path

import pytest
from environments import build_wheel, evoweights, fresh_environment, install

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "evoweights-cauchy"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment that has the example, and sees this one's packages besides its own."""
    folder = tmp_path_factory.mktemp("environment")
    fresh = fresh_environment(folder / "venv")
    install(fresh, build_wheel(EXAMPLE, folder / "wheels"))
    return fresh


def test_it_is_listed_with_its_version_and_what_it_provides(python: Path, tmp_path: Path) -> None:
    done = evoweights(python, "plugins", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    listed = [each for each in json.loads(done.stdout) if each["name"] == "cauchy"]
    assert len(listed) == 1
    assert listed[0]["version"] == "0.1.0"
    assert "cauchy_mutation" in json.dumps(listed[0])


def test_a_run_uses_it_and_its_kernel_is_compiled(python: Path, tmp_path: Path) -> None:
    done = evoweights(python, "run", str(EXAMPLE / "cauchy.yaml"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "cauchy"
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    used = {(tuple(each["operators"]), each["backend"]) for line in lines for each in line["varied"]}
    assert (("0-cauchy_mutation",), "cpu") in used
    assert lines[-1]["best_fitness"] < lines[0]["best_fitness"]


def test_installed_is_not_active(python: Path, tmp_path: Path) -> None:
    config = (EXAMPLE / "cauchy.yaml").read_text().replace("plugins: [cauchy]\n", "")
    (tmp_path / "without.yaml").write_text(config)
    done = evoweights(python, "run", "without.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "no operator is called 'cauchy_mutation'" in done.stderr
