"""Measures a generation of an evolution strategy against EvoTorch's PGPE and SNES on the same genome, side by side.

A generation draws the members, scores each by one product with a fixed vector, which costs next to nothing, and moves the
centre: what is left is what the searchers themselves cost. They are made alike in members and standard deviation; PGPE and SNES
adapt a standard deviation for every gene as well. Steps take turns in one process. Memory is the peak of making a searcher and
taking two steps, less what the process had before.

    python benchmarks/searchers.py [--genes 1000000 10000000] [--members 32] [--rounds 7] [--device cpu] [--json PATH]
"""

import argparse
import json
import logging
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from stopwatch import extra_bytes, machine, seconds, settle
from torch import Tensor, nn

from evoweights.founding import mount_blueprint
from evoweights.improvers import Moment
from evoweights.mounted import Blueprint, Mounted
from evoweights.seeds import Noise
from evoweights_es.es import EvolutionStrategy
from evoweights_es.estimators import Antithetic
from evoweights_es.gaussian import Gaussian
from evoweights_es.shaping import CentredRank
from evoweights_es.updates import Adam

SIGMA, SMALL = 1e-3, 10_000
MOST_MEMORY = 0.5
"""Of what EvoTorch's searcher takes."""

Step = Callable[[], object]


class Vector(nn.Module):
    """The genome as one parameter."""

    def __init__(self, genes: int) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.zeros(1, genes))

    def forward(self, slope: Tensor) -> Tensor:
        """The product with a vector."""
        return (self.x @ slope).flatten()


class Feed:
    """Scores the mounted vector."""

    def __init__(self, slope: Tensor) -> None:
        self.slope = slope

    def draw(self, mounted: Mounted) -> "Feed":
        """The same slope every time."""
        self.mounted = mounted
        return self

    @torch.no_grad()
    def scores(self, copies: int = 1) -> Tensor:
        """One item."""
        assert copies == 1
        return self.mounted.module(self.slope).double().cpu()


def ours(slope: Tensor, members: int, **parts: object) -> Step:
    """A step of our strategy."""
    strategy = EvolutionStrategy(members=members, sigma=SIGMA, check_every=0, **parts)  # type: ignore[arg-type]
    blueprint = Blueprint(Vector(len(slope)), 1, initialise=lambda row: None, is_shared=lambda name: False)
    mounted, feed = mount_blueprint(blueprint, slope.device, improvers=[strategy]), Feed(slope)
    number = 0

    def step() -> None:
        nonlocal number
        number += 1
        strategy.step(mounted, feed, Moment(number, 1000, Noise(1, f"step {number}"), "auto", Noise(1, "fixed")))

    return step


def theirs(name: str, slope: Tensor, members: int) -> Step:
    """A step of EvoTorch's searcher."""
    from evotorch import Problem
    from evotorch.algorithms import PGPE, SNES
    from evotorch.decorators import vectorized

    @vectorized
    def score(values: Tensor) -> Tensor:
        return values @ slope

    problem = Problem("min", score, solution_length=len(slope), initial_bounds=(0.0, 0.0), device=slope.device)
    if name == "PGPE":
        rates = {"center_learning_rate": 0.01, "stdev_learning_rate": 0.1}
        return PGPE(problem, popsize=members, stdev_init=SIGMA, **rates).step
    return SNES(problem, popsize=members, stdev_init=SIGMA).step


CONTESTANTS: dict[str, Callable[[Tensor, int], Step]] = {
    "evoweights es (z-scores, plain)": ours,
    "evoweights es (pairs, ranks, Adam)": lambda slope, members: ours(
        slope, members, estimator=Antithetic(), shaping=CentredRank(), update=Adam()
    ),
    "evoweights es (16 bits a number)": lambda slope, members: ours(slope, members, perturbation=Gaussian(bits=16)),
    "evotorch PGPE": lambda slope, members: theirs("PGPE", slope, members),
    "evotorch SNES": lambda slope, members: theirs("SNES", slope, members),
}


def memory(name: str, slope: Tensor, members: int) -> int | None:
    """Peak of making it and taking two steps."""

    def all_of_it() -> None:
        step = CONTESTANTS[name](slope, members)
        step(), step()

    settle()
    return extra_bytes(all_of_it, slope.device)


def measure(genes: int, members: int, rounds: int, device: torch.device) -> list[dict[str, object]]:
    """Seconds and bytes of all of them."""
    slope = torch.randn(genes, generator=torch.Generator().manual_seed(0)).to(device)
    taken: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    peaks = {name: memory(name, slope, members) for name in CONTESTANTS}
    steps = {name: make(slope, members) for name, make in CONTESTANTS.items()}
    for each in steps.values():
        each()  # EvoTorch moves its centre from the second step on
    for _ in range(rounds):
        for name, step in steps.items():
            taken[name].append(seconds(step, device))
    return [
        {
            "genes": genes,
            "members": members,
            "label": name,
            "seconds": min(each),
            "median_seconds": statistics.median(each),
            "peak_bytes": peaks[name],
        }
        for name, each in taken.items()
    ]


def show(rows: list[dict[str, object]]) -> bool:
    """Print them, and whether every one of ours is faster and smaller than every one of EvoTorch's."""
    print(f"\n{rows[0]['genes']:,} genes, {rows[0]['members']} members, a generation")
    for row in rows:
        peak = f"{row['peak_bytes'] / 2**20:8,.0f} MiB" if row["peak_bytes"] is not None else "     unknown"  # type: ignore[operator]
        print(f"  {row['label']:36s} {1e3 * row['seconds']:9.1f} ms (median {1e3 * row['median_seconds']:9.1f}) {peak}")  # type: ignore[operator]
    mine = [row for row in rows if str(row["label"]).startswith("evoweights")]
    rivals = [row for row in rows if row not in mine]
    faster = min(row["seconds"] for row in rivals) / max(row["seconds"] for row in mine)  # type: ignore[type-var,operator]
    is_met = faster > 1
    print(f"    {'met   ' if is_met else 'MISSED'} our slowest against EvoTorch's fastest: {faster:.2f}x, more than 1")
    if all(row["peak_bytes"] is not None for row in rows):
        share = max(row["peak_bytes"] for row in mine) / min(row["peak_bytes"] for row in rivals)  # type: ignore[type-var,operator]
        is_met &= share <= MOST_MEMORY
        print(
            f"    {'met   ' if share <= MOST_MEMORY else 'MISSED'} our largest peak against EvoTorch's smallest: {share:.0%}, "
            f"at most {MOST_MEMORY:.0%}"
        )
    return is_met


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--genes", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--members", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    device = torch.device(options.device)
    logging.disable(logging.INFO)  # EvoTorch tells of every problem that it makes
    for make in CONTESTANTS.values():  # imports and compiled kernels are not part of any figure
        step = make(torch.ones(SMALL, device=device), options.members)
        step(), step()
    rows, is_met = [], True
    for genes in options.genes:
        found = measure(genes, options.members, options.rounds, device)
        is_met &= show(found)
        rows += found
    if options.json:
        options.json.write_text(json.dumps({**machine(device), "rows": rows}, indent=2) + "\n")
    if not is_met:
        sys.exit(1)


if __name__ == "__main__":
    main()
