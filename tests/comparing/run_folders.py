"""Folders of runs that never ran: a configuration, and a line of metrics for each measurement."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from evoweights.storage import journal
from evoweights.storage.best import save_best

SETTINGS: Mapping[str, Any] = {
    "generations": 4,
    "task": {"name": "digits", "batch": 8},
    "population": {"name": "individuals", "size": 1},
    "improve": [{"name": "adamw", "steps": 4}],
    "vary": [],
}


def make_run(
    folder: Path,
    losses: Sequence[float | None],
    *,
    seed: int | str = 1,
    tokens: int = 1000,
    flops: float | None = 1e9,
    seconds: float = 2.0,
    evaluate: float = 0.5,
    done: bool = True,
    data: Mapping[str, str] | None = None,
    **changes: Any,
) -> Path:
    """A run of one generation for each loss, each of which takes so many tokens, FLOPs and seconds; ``evaluate`` are
    seconds of measuring beside them."""
    folder.mkdir(parents=True)
    settings = {**SETTINGS, "generations": len(losses), **changes, "name": folder.name, "seed": seed}
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(settings)))
    (folder / "checkpoints").mkdir()
    trains = bool(settings["improve"])
    for generation, loss in enumerate(losses):
        count = generation + 1
        record = {
            "generation": generation,
            "tokens": count * tokens,
            "best_fitness": loss,
            "improved": [{"row": 0}] if trains else [],
            "seconds": {"improve": seconds, "vary": 0.0, "evaluate": evaluate},
        }
        if flops is not None:
            ledger = {"tokens": count * tokens, "flops": count * flops * trains, "evaluation_flops": count * 1e6}
            record["ledger"] = {**ledger, "seconds": count * (seconds + evaluate)}
        journal.append(folder / "metrics.jsonl", record)
    if done:
        (folder / "DONE").write_text("best: individual 0\n")
    if data is not None:
        facts = {"row": 0, "id": 0, "generation": 0, "fitness": 1.0, "scores": [], "layout": "", "task": dict(data)}
        save_best(folder / "best", {"own.weights": torch.zeros(1)}, facts)
    return folder
