"""Folders of runs that nobody ran: what a run writes, made up quickly and of any length."""

import itertools
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

Change = Callable[[dict[str, Any]], None]

CONFIG: dict[str, Any] = {
    "name": "made_up",
    "seed": 7,
    "task": {"name": "language_model", "model": "gpt2-nano"},
    "population": {"name": "experts"},
    "turn": {"name": "round_robin"},
    "improve": [{"name": "adamw", "steps": 20}],
    "vary": [{"name": "pso"}, {"name": "crossover"}],
    "select": {"name": "best"},
}
TOKENS = 40_960


def record_run(
    folder: Path,
    *,
    generations: int = 30,
    size: int = 3,
    change: Change = lambda record: None,
    info: dict[str, Any] | None = None,
    sample: str | None = None,
    settings: dict[str, Any] | None = None,
) -> Path:
    """Write a run's folder; ``change`` may spoil each record before it is written, ``settings`` replace those of ``CONFIG``."""
    folder.mkdir(parents=True)
    config = {**CONFIG, "name": folder.name, "generations": generations, **(settings or {})}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    facts = {"individual": "expert", "unit": "tokens", "references": {"unigram_entropy": 6.33}, **(info or {})}
    (folder / "info.json").write_text(json.dumps(facts))
    (folder / "environment.json").write_text(json.dumps({"device": "cpu", "machine": "x86_64", "torch_threads": 2}))
    with (folder / "metrics.jsonl").open("w") as stream:
        for record in records(generations, size, seed=config["seed"]):
            change(record)
            stream.write(json.dumps(record) + "\n")
    (folder / "result.json").write_text(json.dumps({"sample": sample}))
    (folder / "DONE").write_text("best: individual 0\n")
    return folder


def records(generations: int, size: int, *, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Lines of ``metrics.jsonl`` of a run whose experts get better and more alike."""
    noise = np.random.default_rng(seed)
    ids, losses = list(range(size)), 7.0 + 0.4 * noise.random(size)
    apart = 1.3 * np.ones((size, size))
    costs = {"tokens": 0, "flops": 0, "evaluation_flops": 0, "seconds": 0.0, "bytes_moved": 0, "joules": 0.0}
    for generation in range(generations):
        row, done = generation % size, (generation + 1) / generations
        floor = 4.0 + 3.2 * math.exp(-5 * done)
        losses = losses + 0.3 * (floor - losses) + 0.03 * noise.standard_normal(size)
        losses[row] = floor
        apart *= np.exp(-0.3 / size + 0.2 * noise.standard_normal((size, size)) / size)
        varied = _varied(generation, row, ids, losses, noise) if generation else []
        costs = {key: value + _spent(key) for key, value in costs.items()}
        fitness = [float(loss) for loss in losses]
        best = int(np.argmin(losses))
        yield {
            "generation": generation,
            "step": 20 * (generation + 1),
            "tokens": TOKENS * (generation + 1),
            "improved": [_turn(generation, row, ids[row], floor, done, noise)],
            "varied": varied,
            "fitness": fitness,
            "best_row": best,
            "best_fitness": fitness[best],
            "distance": float(apart.mean()),
            "seconds": _seconds(generation, noise),
            "failed": [],
            "distances": _pairs(apart, size),
            "ledger": {**costs, "peak_memory_bytes": 612_000_000},
        }


def _spent(key: str) -> float:
    return {"tokens": TOKENS, "flops": 3_100_000_000_000, "seconds": 4.1, "bytes_moved": 5_200_000}.get(key, 640)


def _turn(
    generation: int, row: int, individual: int, loss: float, done: float, noise: np.random.Generator
) -> dict[str, Any]:
    jump = 0.9 * math.exp(-8 * done) + 0.06 * noise.standard_normal() if generation else None
    losses = {"first_loss": loss + 0.2, "mean_loss": loss - 0.2 * done, "last_loss": loss - 0.3 * done}
    place = {"generation": generation, "row": row, "id": individual, "steps": 20}
    return {**place, **losses, "jump": jump, "seconds": 3.4, "stopped": None}


def _varied(
    generation: int, leader: int, ids: list[int], losses: np.ndarray, noise: np.random.Generator
) -> list[dict[str, Any]]:
    found = []
    for row in (each for each in range(len(ids)) if each != leader):
        parents, child = [ids[row], ids[leader]], max(ids) + 1
        ids[row] = child
        before = float(losses[row])
        pulled = before + 0.4 * noise.standard_normal() * 0.1 - 0.02
        place = {"generation": generation, "operators": ["0-pso", "1-crossover"], "row": row, "id": child}
        came = {"parents": parents, "sources": [leader], "backend": "cpu"}
        found.append({**place, **came, "losses": [before, pulled, pulled + 0.02 * noise.standard_normal() + 0.015]})
    return found


def _seconds(generation: int, noise: np.random.Generator) -> dict[str, float]:
    found = {"improve": 3.4 + 0.2 * noise.random(), "vary": 0.05, "evaluate": 0.6, "credit": 0.1}
    return found | ({"checkpoint": 0.5} if generation % 5 == 4 else {})


def _pairs(apart: np.ndarray, size: int) -> list[list[float]] | None:
    return [[i, j, float(apart[i, j])] for i, j in itertools.combinations(range(size), 2)] if size <= 16 else None
