"""How far training without gradients comes, next to AdamW in the same seconds: published EA4LLM, the recommended preset, AdamW.

Each is a run of its own, on the model, data and validation subset of its configuration, ended after so many seconds of its
generations (start-up and the first validation not counted). AdamW gets the same model, data and batch.

    python benchmarks/gradient_free.py [--seconds 100] [--only TEXT] [--json FILE]
"""

import argparse
import json
import logging
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from evoweights.config.loading import load_config
from evoweights.engine import Engine
from evoweights.runs.environment import environment
from evoweights.runs.session import open_engine
from evoweights.runs.stopping import StopRequest
from evoweights.storage.run_dir import RunDirectory

CONFIGS = Path(__file__).parent.parent / "configs"
LONG = [
    "generations=100000",
    "observers=[]",
    "credit=false",
    "checkpoint.every_generations=1000000",
    "checkpoint.every_seconds=1000000",
]
ADAMW = [
    "preset=null",
    "population={name: individuals, size: 1}",
    "improve=[{name: adamw, steps: 20, learning_rate: 2.0e-3, warmup_steps: 20}]",
]


@dataclass(frozen=True)
class Contestant:
    """A configuration and what is changed of it."""

    label: str
    config: str
    overrides: tuple[str, ...] = ()


CONTESTANTS = (
    Contestant("EA4LLM as published", "ea4llm.yaml", ("improve.0.steps=5",)),
    Contestant("recommended: low rank, leave-one-out, Adam", "es_low_rank.yaml", ("improve.0.steps=5",)),
    Contestant("AdamW, by gradients", "es_low_rank.yaml", tuple(ADAMW)),
)


def train(contestant: Contestant, seconds: float, folder: Path) -> dict[str, object]:
    """Run it so long and say how far it came."""
    config = load_config(CONFIGS / contestant.config, [*contestant.overrides, *LONG])
    config = replace(config, output=folder)
    here = environment("cpu")
    run = RunDirectory.open(folder, config.name, config_text=config.text, overrides=config.overrides, environment=here)
    with run:
        engine = open_engine(config, run, torch.device("cpu"), StopRequest(), here)
        engine._score(-1)
        start = engine.world.population.individuals[0].fitness
        while engine.world.progress.seconds < seconds:
            engine.one_generation()
        return _result(contestant, engine, start)


def _result(contestant: Contestant, engine: Engine, start: float) -> dict[str, object]:
    progress, best = engine.world.progress, engine.world.champion
    assert best is not None
    return {
        "label": contestant.label,
        "seconds": progress.seconds,
        "steps": progress.step,
        "start": start,
        "end": engine.world.population.individuals[0].fitness,
        "best": best.fitness,
        "references": dict(engine.info.references),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=100.0)
    parser.add_argument("--only", default="", help="only contestants whose label holds this text")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    rows = []
    for contestant in (each for each in CONTESTANTS if arguments.only in each.label):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(train(contestant, arguments.seconds, Path(folder)))
        row = rows[-1]
        sys.stdout.write(
            f"{row['label']:45s} {row['seconds']:6.0f} s {row['steps']:6d} steps   validation loss {row['start']:.4f} -> "
            f"{row['end']:.4f} ({row['end'] - row['start']:+.4f})\n"
        )
        sys.stdout.flush()
    if arguments.json:
        found = {"torch": torch.__version__, "threads": torch.get_num_threads(), "runs": rows}
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
