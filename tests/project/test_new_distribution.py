"""What ``evoweights plugins new`` makes is a distribution: pip installs it, its tests pass, its configuration runs."""

import importlib.util
import json
import zipfile
from pathlib import Path

import pytest
from environments import build_wheel, evoweights, fresh_environment, install, run

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An interpreter that has a new operator installed, and the folder that it was installed from."""
    folder = tmp_path_factory.mktemp("made")
    python = fresh_environment(folder / "venv")
    done = evoweights(python, "plugins", "new", "nudge", "--licence", "MIT", cwd=folder)
    assert done.returncode == 0, done.stderr
    install(python, folder / "evoweights-nudge")
    return python, folder / "evoweights-nudge"


def test_it_is_installed_with_its_component(made: tuple[Path, Path], tmp_path: Path) -> None:
    python, _ = made
    listed = json.loads(evoweights(python, "plugins", "--json", cwd=tmp_path).stdout)
    (mine,) = [each for each in listed if each["name"] == "nudge"]
    assert (mine["status"], mine["distribution"], mine["components"]) == ("ok", "evoweights-nudge", ["operator nudge"])
    where = run([str(python), "-c", "import evoweights_nudge; print(evoweights_nudge.__file__)"], cwd=tmp_path).stdout
    assert "site-packages" in where


def test_its_run_is_compiled_and_fused_and_gets_better(made: tuple[Path, Path], tmp_path: Path) -> None:
    python, folder = made
    done = evoweights(python, "run", str(folder / "nudge.yaml"), "generations=20", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "runs/nudge/metrics.jsonl").read_text().splitlines()]
    varied = [(each["backend"], *each["operators"]) for line in lines for each in line["varied"]]
    assert {each for each in varied if "0-nudge" in each} == {("cpu", "0-nudge", "1-mutation")}
    assert lines[-1]["best_fitness"] < min(lines[0]["start_fitness"])


def test_its_own_tests_pass(made: tuple[Path, Path]) -> None:
    python, folder = made
    tests = ["tests/test_run.py"] if importlib.util.find_spec("evoweights.testing") is None else ["tests"]
    run([str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests], cwd=folder)


def test_the_templates_are_in_the_wheel(tmp_path: Path) -> None:
    held = zipfile.ZipFile(build_wheel(ROOT, tmp_path)).namelist()
    templates = ROOT / "src" / "evoweights" / "plugins" / "templates"
    files = [each for each in templates.rglob("*") if each.is_file()]
    assert len(files) > 20
    assert {f"evoweights/plugins/templates/{each.relative_to(templates)}" for each in files} <= set(held)
