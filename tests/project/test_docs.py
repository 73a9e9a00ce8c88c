"""What the documentation shows is what happens."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def _blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), flags=re.DOTALL)


def _commands(page: str) -> list[list[str]]:
    lines = "".join(_blocks(page, "console")).splitlines()
    return [shlex.split(line.removeprefix("$ ")) for line in lines if line.startswith("$ ")]


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The folder in which everything the kernel tutorial says has been done, and what each command printed."""
    folder = tmp_path_factory.mktemp("tutorial")
    function, operator, outside = _blocks("gene_kernels.md", "python")
    (folder / "scatter.py").write_text(f"{function}\n\n{operator}")
    (folder / "scatter.yaml").write_text(_blocks("gene_kernels.md", "yaml")[0])
    (folder / "outside.py").write_text(f"from scatter import scatter_kernel\n{outside}")
    printed = {}
    for words in [*_commands("gene_kernels.md"), ["python", "outside.py"]]:
        module = ["-m", "evoweights", *words[1:]] if words[0] == "evoweights" else words[1:]
        done = subprocess.run([sys.executable, *module], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (words, done.stderr)
        printed[" ".join(words)] = done.stdout
    return folder, printed


def test_the_kernel_of_the_tutorial_costs_what_the_page_says(tutorial: tuple[Path, dict[str, str]]) -> None:
    listed = tutorial[1]["evoweights kernels list --plugin ./scatter.py"]
    assert re.search(r"scatter_kernel\s+12 B\s+3/8 Philox", listed), listed


def test_every_target_prints_its_own_language(tutorial: tuple[Path, dict[str, str]]) -> None:
    command = "evoweights kernels show scatter_kernel --plugin ./scatter.py --target"
    signs = {"cpu": "@njit", "triton": "@triton.jit", "cuda": "__global__"}
    assert all(sign in tutorial[1][f"{command} {target}"] for target, sign in signs.items())


def test_two_kernels_become_one(tutorial: tuple[Path, dict[str, str]]) -> None:
    fused = tutorial[1]["evoweights kernels show pso_towards scatter_kernel --plugin ./scatter.py --target cuda"]
    assert fused.count("__global__") == 1


def test_the_reference_ends_with_the_bits_of_the_compiled_kernels(tutorial: tuple[Path, dict[str, str]]) -> None:
    files = sorted((tutorial[0] / "runs").glob("scatter*/best/genome.safetensors"))
    assert len(files) == 2 and len({file.read_bytes() for file in files}) == 1
