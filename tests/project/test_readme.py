"""What the README shows is what there is."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_operator_of_the_readme_runs_as_it_is_printed(tmp_path: Path) -> None:
    (tmp_path / "my_operator.py").write_text(_blocks("python")[0])
    around = "generations: 2\ntask: {name: digits, train_images: 64}\npopulation: {name: individuals, size: 2}\n"
    (tmp_path / "own.yaml").write_text(around + _blocks("yaml")[0])
    done = _evoweights("run", "own.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert '"0-drift", "1-mutation"' in (tmp_path / "runs" / "own" / "metrics.jsonl").read_text()


def test_the_operator_takes_about_fifteen_lines() -> None:
    code = [line for line in _blocks("python")[0].splitlines() if line.strip()]
    assert len(code) <= 17


def test_the_example_folder_holds_the_same_operator() -> None:
    example = (ROOT / "examples" / "local_operator" / "my_operator.py").read_text()
    assert _blocks("python")[0].strip() in example


def test_the_local_example_runs(tmp_path: Path) -> None:
    done = _evoweights("run", str(ROOT / "examples" / "local_operator" / "drift.yaml"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "name", ["run", "resume", "validate", "operators", "plugins", "status", "verify", "export", "generate", "doctor"]
)
def test_every_command_of_the_readme_exists_and_every_command_is_in_it(name: str) -> None:
    assert f"evoweights {name}" in README or f"`{name} " in README or f"`{name}`" in README
    assert _evoweights(name, "--help", cwd=ROOT).returncode == 0


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_links_lead_somewhere(link: str) -> None:
    assert link.startswith("https://") or (ROOT / link).exists()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"^    make (\w+)", README, flags=re.MULTILINE))))
def test_make_targets_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_the_tree_of_the_readme_is_the_tree() -> None:
    for folder in re.findall(r"^\s{4,6}((?:[\w]+/)+)\s", README, flags=re.MULTILINE):
        assert any((ROOT / base / folder).is_dir() for base in ("", "src/evoweights", "plugins", "kernels")), folder


def _evoweights(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "evoweights", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
