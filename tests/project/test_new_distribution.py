"""What ``evoweights plugins new`` makes is a distribution: pip installs it, its tests pass, its configuration runs."""

import email
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


def _place(python: Path, folder: Path) -> str:
    """Where its module is imported from."""
    return run([str(python), "-c", "import evoweights_nudge; print(evoweights_nudge.__file__)"], cwd=folder).stdout


def test_it_is_installed_with_its_component(made: tuple[Path, Path], tmp_path: Path) -> None:
    python, _ = made
    listed = json.loads(evoweights(python, "plugins", "--json", cwd=tmp_path).stdout)
    (mine,) = [each for each in listed if each["name"] == "nudge"]
    assert (mine["status"], mine["distribution"], mine["components"]) == ("ok", "evoweights-nudge", ["operator nudge"])
    assert "site-packages" in _place(python, tmp_path)


def test_its_run_is_compiled_and_fused_and_gets_better(made: tuple[Path, Path], tmp_path: Path) -> None:
    python, folder = made
    done = evoweights(python, "run", str(folder / "nudge.yaml"), "generations=20", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "runs/nudge/metrics.jsonl").read_text().splitlines()]
    varied = [(each["backend"], *each["operators"]) for line in lines for each in line["varied"]]
    assert {each for each in varied if "0-nudge" in each} == {("cpu", "0-nudge", "1-mutation")}
    assert lines[-1]["best_fitness"] < min(lines[0]["start_fitness"])


def test_installed_as_its_readme_says_its_own_tests_pass_and_hold_it_to_the_contract(made: tuple[Path, Path]) -> None:
    python, folder = made
    install(python, folder, editable=True)
    assert str(folder) in _place(python, folder.parent)
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = run([*command, "tests"], cwd=folder)
    assert "passed" in done.stdout and "xfailed" not in done.stdout
    component = folder / "evoweights_nudge" / "__init__.py"
    text = component.read_text()
    component.write_text(text.replace("gene_wise=True,", "gene_wise=True, copies=True,"))
    checked = evoweights(python, "plugins", "check", "nudge", "--profile", "quick", cwd=folder)
    component.write_text(text)
    assert checked.returncode == 5 and checked.stderr.startswith("error: nudge: 1 of 1 component")
    assert "nudge (EW-X01)" in checked.stderr


def test_its_metadata_say_what_it_needs_and_what_may_be_done_with_it(made: tuple[Path, Path], tmp_path: Path) -> None:
    wheel = zipfile.ZipFile(build_wheel(made[1], tmp_path))
    (place,) = [each for each in wheel.namelist() if each.endswith(".dist-info/METADATA")]
    metadata = email.message_from_bytes(wheel.read(place))
    assert (metadata["Requires-Python"], metadata["License-Expression"]) == (">=3.11", "MIT")
    assert metadata.get_all("Requires-Dist") == ["evoweights>=0.1", "evoweights[testing]>=0.1; extra == 'test'"]
    assert {"evoweights_nudge/__init__.py", "evoweights_nudge/py.typed"} < set(wheel.namelist())
    assert not any(each.startswith("tests/") for each in wheel.namelist())


def test_the_templates_are_in_the_wheel(tmp_path: Path) -> None:
    held = zipfile.ZipFile(build_wheel(ROOT, tmp_path)).namelist()
    templates = ROOT / "src" / "evoweights" / "plugins" / "templates"
    files = [each for each in templates.rglob("*") if each.is_file()]
    assert len(files) > 20
    assert {f"evoweights/plugins/templates/{each.relative_to(templates)}" for each in files} <= set(held)
