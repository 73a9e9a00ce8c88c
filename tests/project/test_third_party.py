"""The example distribution, built, installed into a fresh environment, listed there and used by a run."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "evoweights-cauchy"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment that has the example, and sees this one's packages besides its own."""
    folder = tmp_path_factory.mktemp("environment")
    wheels = folder / "wheels"
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels), str(EXAMPLE)]
    subprocess.run(build, check=True, capture_output=True)
    venv.create(folder / "venv", with_pip=True)
    fresh = folder / "venv" / "bin" / "python"
    purelib = subprocess.run(
        [str(fresh), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    # addsitedir and not a plain line, because an editable install of evoweights is itself a .pth file.
    (Path(purelib) / "outer.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    install = [str(fresh), "-m", "pip", "install", "--no-deps", "--no-index", *map(str, wheels.glob("*.whl"))]
    subprocess.run(install, check=True, capture_output=True)
    return fresh


def _evoweights(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    command = [str(python), "-m", "evoweights", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_it_is_listed_with_its_version_and_what_it_provides(python: Path, tmp_path: Path) -> None:
    done = _evoweights(python, "plugins", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    listed = [each for each in json.loads(done.stdout) if each["name"] == "cauchy"]
    assert len(listed) == 1
    assert listed[0]["version"] == "0.1.0"
    assert "cauchy_mutation" in json.dumps(listed[0])


def test_a_run_uses_it_and_its_kernel_is_compiled(python: Path, tmp_path: Path) -> None:
    done = _evoweights(python, "run", str(EXAMPLE / "cauchy.yaml"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "cauchy"
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    used = {(tuple(each["operators"]), each["backend"]) for line in lines for each in line["varied"]}
    assert (("0-cauchy_mutation",), "cpu") in used
    assert lines[-1]["best_fitness"] < lines[0]["best_fitness"]


def test_installed_is_not_active(python: Path, tmp_path: Path) -> None:
    config = (EXAMPLE / "cauchy.yaml").read_text().replace("plugins: [cauchy]\n", "")
    (tmp_path / "without.yaml").write_text(config)
    done = _evoweights(python, "run", "without.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "no operator is called 'cauchy_mutation'" in done.stderr
