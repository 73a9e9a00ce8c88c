"""Runs a population of N large individuals with a given home and prints the peak resident memory in bytes.

Usage: peak_memory.py FOLDER HOME N
"""

import sys
from pathlib import Path

from engine_runs import config_in
from evoweights.ledger.memory import peak_memory_bytes
from evoweights.runs import session

GENES = 4_000_000


def main() -> None:
    """Two turns, each followed by operators that rewrite everyone else, then a checkpoint."""
    folder, home, size = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    config = config_in(
        folder,
        generations=2,
        task={"name": "function", "dimension": GENES},
        population={"name": "individuals", "size": size, "home": home},
        turn={"name": "round_robin"},
        improve=[{"name": "adamw", "steps": 1}],
        vary=[{"name": "pso"}, {"name": "crossover"}],
    )
    session.run(config)
    sys.stdout.write(str(peak_memory_bytes("cpu")))


if __name__ == "__main__":
    main()
