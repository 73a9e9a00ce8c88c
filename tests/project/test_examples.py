"""Every example distribution is whole: metadata that names what is there, a configuration that runs, tests that pass."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from evoweights.plugins.listing import try_plugins
from put_on_path import put_on_path

EXAMPLES = sorted(each.parent for each in (Path(__file__).parents[2] / "examples").glob("*/pyproject.toml"))
every_example = pytest.mark.parametrize("folder", EXAMPLES, ids=lambda each: each.name)


@pytest.fixture
def environment(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables of a process in which the example is installed."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    put_on_path(folder, tmp_path / "site", monkeypatch)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@every_example
def test_it_is_listed_with_what_it_provides(folder: Path, environment: dict[str, str]) -> None:
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    (found,) = [each for each in try_plugins() if each.plugin.origin == project["name"]]
    assert (found.status, found.reason, found.clashes) == ("ok", "", ())
    assert found.plugin.name in project["entry-points"]["evoweights"] and found.components


@every_example
def test_it_is_documented_and_licensed(folder: Path) -> None:
    readme = (folder / "README.md").read_text()
    assert readme.startswith(f"# {folder.name}\n")
    (plugin,) = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["entry-points"]["evoweights"]
    for words in (
        f"./{folder.name}",
        f"evoweights run {folder.name}/",
        f"evoweights plugins check {plugin}\n",
        f"python -m pytest {folder.name}\n",
    ):
        assert words in readme
    assert 'license = "Apache-2.0"' in (folder / "pyproject.toml").read_text()


@every_example
def test_a_few_generations_of_its_configurations_run(folder: Path, environment: dict[str, str], tmp_path: Path) -> None:
    configs = sorted(folder.glob("*.yaml"))
    assert configs
    for config in configs:
        assert config.read_text().startswith("# ")
        words = [sys.executable, "-m", "evoweights", "run", str(config), "generations=3", "observers=[]", "device=cpu"]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
@every_example
def test_its_own_tests_pass(folder: Path, environment: dict[str, str], tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(folder),
        str(folder / "tests"),
    ]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
