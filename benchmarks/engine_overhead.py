"""What the engine costs around the gradient steps: EOE's generations against a plain loop on the same model and batches.

Both train the same b-layer expert by AdamW, in turns, in one process: the engine with mounting, swapping, PSO, crossover and
records (no evaluation, no checkpoint), the plain loop with torch's fused AdamW and ``clip_grad_norm_``. The figure is the
median over pairs of neighbouring turns of the ratio of their times. Checkpoints are timed apart, as a share of a run that
saves as often as the configuration says. The ledger's share is the time inside the functions that count, clocks included.

    python benchmarks/engine_overhead.py [--turns 16] [--steps 50] [--json FILE]
"""

import argparse
import dataclasses
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from evoweights.config.loading import load_config
from evoweights.engine import Engine
from evoweights.ledger.energy import EnergyMeter
from evoweights.progress import Progress
from evoweights.runs.environment import environment
from evoweights.runs.session import open_engine
from evoweights.runs.stopping import StopRequest
from evoweights.storage.run_dir import RunDirectory
from evoweights.world import World

CONFIG = Path(__file__).parent.parent / "configs" / "eoe_gpt2.yaml"


def open_one(folder: Path, steps: int, turns: int) -> Engine:
    """EOE's engine on the default configuration, without observers."""
    overrides = [f"improve.0.steps={steps}", f"generations={turns + 2}", "evaluate.every=1000000"]
    overrides += ["observers=[]", "credit=false"]
    config = dataclasses.replace(load_config(CONFIG, overrides), output=folder)
    here = environment("cpu")
    run = RunDirectory.open(folder, config.name, config_text=config.text, overrides=config.overrides, environment=here)
    return open_engine(config, run, torch.device("cpu"), StopRequest(), here)


class PlainLoop:
    """The same model trained by torch alone."""

    def __init__(self, engine: Engine) -> None:
        self.task = engine.task
        self.model = self.task.build(layers=len_of_expert(engine))
        settings = engine.config.improve[0].component
        decayed = [each for each in self.model.parameters() if each.ndim >= 2]
        plain = [each for each in self.model.parameters() if each.ndim < 2]
        groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        betas = (settings.beta1, settings.beta2)
        self.optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=betas, fused=True)
        self.index = 0

    def turn(self, steps: int) -> None:
        """As many steps as an expert's turn has."""
        for _ in range(steps):
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.task.loss(self.model, self.task.batch(self.index))
            loss.item()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.index += 1


def len_of_expert(engine: Engine) -> int:
    """Blocks of one expert."""
    return engine.world.mounted.module.config.num_hidden_layers


def timed(action: Callable[[], object]) -> float:
    """Seconds that ``action`` takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


class Clock:
    """Adds up the time that is spent in functions it has been put around."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def put_around(self, owner: type, name: str) -> None:
        """Time every call of a method."""
        method = getattr(owner, name)

        def clocked(*arguments: object, **named: object) -> object:
            started = time.perf_counter()
            result = method(*arguments, **named)
            self.seconds += time.perf_counter() - started
            return result

        setattr(owner, name, clocked)


def measure(turns: int, steps: int) -> dict[str, object]:
    """Turns of both, alternating, and what saving takes."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_one(Path(folder), steps, turns)
        plain = PlainLoop(engine)
        generation = engine.one_generation
        plain.turn(5)
        generation(), generation()  # compile the kernels; the second generation is the first with operators
        ledger = Clock()
        counting = ((type(engine.task), "flops"), (type(engine.task), "gradient_flops"), (Progress, "trained"))
        for owner, name in (*counting, (EnergyMeter, "look"), (World, "costs")):
            ledger.put_around(owner, name)
        ours, theirs = [], []
        for turn in range(turns):  # who goes first alternates, so that a drift of the machine hits both
            for is_ours in (turn % 2 == 0, turn % 2 == 1):
                (ours if is_ours else theirs).append(timed(generation if is_ours else lambda: plain.turn(steps)))
        saves = []
        for _ in range(5):
            engine.world.progress.ticks += 1
            engine.world.population.unsaved.update(range(engine.world.population.size))
            saves.append(timed(engine.checkpoint))
        ratio = statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
        every = engine.config.checkpoint.every_generations
        return {
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "turns": turns,
            "steps_per_turn": steps,
            "engine_seconds_per_turn": {"min": min(ours), "median": statistics.median(ours)},
            "plain_seconds_per_turn": {"min": min(theirs), "median": statistics.median(theirs)},
            "overhead_median_of_pairs": ratio - 1,
            "overhead_of_minima": min(ours) / min(theirs) - 1,
            "ledger_share": ledger.seconds / sum(ours),
            "checkpoint_seconds": statistics.median(saves),
            "checkpoint_share": statistics.median(saves) / (every * statistics.median(ours)),
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=16)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    result = measure(arguments.turns, arguments.steps)
    text = json.dumps(result, indent=2)
    sys.stdout.write(text + "\n")
    if arguments.json:
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
