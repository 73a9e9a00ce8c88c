"""The GPU check: parity of every kernel, the operators and training at full size; about eight minutes on one GPU.

    python benchmarks/gpu.py [--results DIR]

Writes <gpu>.json with every figure and <gpu>.txt with what was printed. Ends with an error if a kernel's bits differ, if a
program fails, or if there is no GPU.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

HERE = Path(__file__).parent
ROOT = HERE.parent


def stages(folder: Path) -> dict[str, list[str]]:
    """What is run, in order: a failed parity stops the rest."""
    return {
        "parity": ["-m", "pytest", "-m", "gpu", "-q", "-rs", "--no-header"],
        "operators": [str(HERE / "operators.py"), "--device", "cuda", "--json", str(folder / "operators.json")],
        "noise": [str(HERE / "weighted_noise.py"), "--device", "cuda", "--json", str(folder / "noise.json")],
        "members": [str(HERE / "low_rank.py"), "--device", "cuda", "--json", str(folder / "members.json")],
        "searchers": [str(HERE / "searchers.py"), "--device", "cuda", "--json", str(folder / "searchers.json")],
        "training": [str(HERE / "training.py"), "--device", "cuda", "--json", str(folder / "training.json")],
    }


def run(command: list[str]) -> tuple[int, str]:
    """Run a program of this Python, showing what it prints while it runs; its exit code and output."""
    process = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line)
    return process.wait(), "".join(lines)


def main() -> None:
    """Run all stages and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=HERE / "results")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit(f"gpu: torch {torch.__version__} finds no CUDA device here. Run this where one is.")
    name = re.sub(r"\W+", "_", torch.cuda.get_device_name()).strip("_").lower()
    facts: dict[str, object] = {"gpu": torch.cuda.get_device_name()}
    printed, failed = [], []
    with tempfile.TemporaryDirectory() as folder:
        for stage, command in stages(Path(folder)).items():
            started = time.perf_counter()
            code, text = run(command)
            printed.append(f"== {stage}\n{text}")
            file = Path(folder) / f"{stage}.json"
            facts[stage] = {
                "exit_code": code,
                "seconds": time.perf_counter() - started,
                "figures": json.loads(file.read_text()) if file.exists() else text.strip().splitlines()[-1:],
            }
            failed += [stage] * (code != 0)
            if stage == "parity" and code:
                break
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / f"{name}.json").write_text(json.dumps(facts, indent=2) + "\n")
    (options.results / f"{name}.txt").write_text("\n".join(printed))
    print(f"written: {options.results / name}.json and .txt")
    if failed:
        sys.exit(f"gpu: failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
