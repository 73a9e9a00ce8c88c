"""How long `--help` takes: of every command, in processes of their own, after a round that warms the disk's cache.

The commands are those of the application itself. Rounds go through all of them in turn, so that a drift of the machine hits all
alike; beside them a Python that does nothing, and one that imports typer, show what is not ours. Exits with 1 if the best time of
a command is above `--limit`.

    python benchmarks/help.py [--rounds 10] [--limit 0.5] [--json FILE]
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from stopwatch import machine, seconds
from typer.main import get_command

from evoweights.cli.app import app

PROGRAM = str(Path(sys.executable).with_name("evoweights"))


def commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of the command itself and of all below it."""
    yield words
    for name, each in getattr(command, "commands", {}).items():
        yield from commands(each, (*words, name))


def call(words: list[str]) -> None:
    """Run a command to its end; it must succeed."""
    subprocess.run(words, stdout=subprocess.DEVNULL, check=True)


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """Best and median seconds of each command line."""
    lines = {" ".join(["evoweights", *each]): [PROGRAM, *each, "--help"] for each in commands(get_command(app))}
    lines = {"python": [sys.executable, "-c", ""], "import typer": [sys.executable, "-c", "import typer"], **lines}
    found: dict[str, list[float]] = {name: [] for name in lines}
    for number in range(rounds + 1):
        for name, line in lines.items():
            taken = seconds(lambda line=line: call(line), torch.device("cpu"))
            if number:
                found[name].append(taken)
    return {name: {"best": min(each), "median": statistics.median(each)} for name, each in found.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--limit", type=float, default=0.5, help="seconds")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = measure(arguments.rounds)
    result = {**machine(torch.device("cpu")), "rounds": arguments.rounds, "limit": arguments.limit, "seconds": found}
    sys.stdout.write(f"{'best':>8}{'median':>8}  command\n")
    for name, each in found.items():
        sys.stdout.write(f"{each['best']:8.3f}{each['median']:8.3f}  {name}\n")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    slow = [name for name, each in found.items() if each["best"] > arguments.limit]
    if slow:
        sys.exit(f"above {arguments.limit} s: {', '.join(slow)}")


if __name__ == "__main__":
    main()
