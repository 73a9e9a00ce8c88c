"""Runs a configuration again and again under kill -9 and reports the digest of every finished population as JSON.

Usage: kill_campaign.py FOLDER [KILLS] [SEED], with one thread everywhere (OMP_NUM_THREADS, NUMBA_NUM_THREADS and
OPENBLAS_NUM_THREADS are 1): children are forked from a process that has started none.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch._dynamo  # noqa: F401 (counting FLOPs loads it: once here, not in every child)

from engine_runs import config_in
from evoweights.runs import session
from evoweights.storage.run_parts import DONE
from evoweights.testing import population_digest

LONGER = {"generations": 14, "checkpoint": {"every_generations": 1}}


def in_child(folder: Path, *, after: float | None) -> int:
    """Run in a forked child and kill it ``after`` seconds (None: never); its exit code, or -9."""
    folder.mkdir(exist_ok=True)
    child = os.fork()
    if child == 0:
        code = 70
        try:
            session.run(config_in(folder, LONGER))
            code = 0
        finally:
            os._exit(code)
    deadline = time.monotonic() + (after or 0.0)
    while after is not None:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)
            break
        time.sleep(0.002)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def campaign(root: Path, kills_wanted: int, seed: int) -> dict[str, object]:
    """Kill and rerun until there were enough kills; every run is brought to its end."""
    session.run(
        config_in(root, {"generations": 2})
    )  # what it imports and compiles, children need not: they get to their work
    assert in_child(root / "uninterrupted", after=None) == 0
    chance, kills, digests, leftovers = random.Random(seed), 0, [], []
    while kills < kills_wanted:
        folder = root / f"run{len(digests)}"
        run = folder / "runs" / "digits"
        # Killed when it was done already, it has nothing left to do, and would be refused.
        while not (run / DONE).exists() and (code := in_child(folder, after=chance.uniform(0.02, 0.8))) != 0:
            assert code == -signal.SIGKILL, f"a run ended by itself with exit code {code}"
            kills += 1
        digests.append(population_digest(run))
        leftovers += [each.name for each in (run / "checkpoints").iterdir() if not each.name.startswith("step-")]
    expected = population_digest(root / "uninterrupted" / "runs" / "digits")
    return {"seed": seed, "kills": kills, "uninterrupted": expected, "digests": digests, "leftovers": leftovers}


if __name__ == "__main__":
    arguments = sys.argv[1:]
    wanted = int(arguments[1]) if len(arguments) > 1 else 12
    report = campaign(Path(arguments[0]), wanted, int(arguments[2]) if len(arguments) > 2 else 20240917)
    sys.stdout.write(json.dumps(report))
