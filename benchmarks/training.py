"""Measures training: EOE's experts and the full-depth model by the same engine, on the same tokens, in one process.

    python benchmarks/training.py [--models 124m 774m 1558m] [--device cuda] [--steps 5] [--json PATH]

For each model: tokens per second, the share of the bfloat16 matmul rate measured in the same run, peak memory beside what
`evoweights validate` says, seconds of a swap and of an event on all experts, and peak memory for other numbers of experts. Tokens
are random: only speed and memory are looked at. `--models nano` runs in a minute on a CPU, to try the program.
"""

import argparse
import dataclasses
import json
import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from stopwatch import machine

from evoweights.config.loading import load_config
from evoweights.config.run_config import RunConfig
from evoweights.engine import Engine
from evoweights.operators import Scene
from evoweights.runs.environment import environment
from evoweights.runs.planning import estimate
from evoweights.runs.session import open_engine
from evoweights.runs.stopping import StopRequest
from evoweights.seeds import Noise
from evoweights.storage.run_dir import RunDirectory
from evoweights.variation import Named, vary
from evoweights_lm.presets import PRESETS

CONFIGS = Path(__file__).parent.parent / "configs"
MATMUL = 8192
NANO = (
    "task.model=gpt2-nano",
    "task.context=64",
    "task.batch=4",
    "task.micro_batch=2",
    "population.blocks_per_expert=2",
)
PUBLISHED = {"124m": 149_000, "774m": 70_300, "1558m": 46_800}
"""Tokens per second of the published runs on an RTX 4090 (logs of github.com/gruai/koifish, commit a526917)."""


def synthetic_shard(path: Path, tokens: int) -> Path:
    """A shard of random token ids in llm.c's format."""
    header = np.zeros(256, "<i4")
    header[:3] = 20240520, 1, tokens
    ids = np.random.default_rng(0).integers(0, 50_257, tokens).astype("<u2")
    path.write_bytes(header.tobytes() + ids.tobytes())
    return path


def configuration(model: str, folder: Path, device: torch.device, steps: int, overrides: Sequence[str]) -> RunConfig:
    """The shipped configuration on synthetic tokens, without evaluation, checkpoints and observers."""
    train, validation = (synthetic_shard(folder / f"{part}.bin", 1 << 20) for part in ("train", "validation"))
    settings = [
        f"task.files=[{train}]",
        f"task.validation_files=[{validation}]",
        "task.validation_tokens=2048",
        f"turn.switch={steps}",
        "turn.total_steps=0",
        "generations=1000000",
        "evaluate.every=1000000",
        "checkpoint.every_generations=1000000",
        "checkpoint.every_seconds=1000000",
        "observers=[]",
        "credit=false",
        f"device={device}",
        *(NANO if model == "nano" else ()),
        *overrides,
    ]
    file = CONFIGS / f"eoe_gpt2_{'124m' if model == 'nano' else model}.yaml"
    return dataclasses.replace(load_config(file, settings), output=folder / "runs")


@contextmanager
def engine_of(config: RunConfig, device: torch.device) -> Iterator[Engine]:
    """The engine of a run that leaves nothing behind, not on the device either."""
    here = environment(config.backend)
    run = RunDirectory.open(
        config.output, config.name, config_text=config.text, overrides=config.overrides, environment=here
    )
    try:
        yield open_engine(config, run, device, StopRequest(), here)
    finally:
        torch.compiler.reset()
        if device.type == "cuda":
            torch.cuda.empty_cache()


def timed(action: Callable[[], object], device: torch.device) -> float:
    """Seconds until the device has done what ``action`` asks for."""
    _wait(device)
    started = time.perf_counter()
    action()
    _wait(device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matmul_rate(device: torch.device, rounds: int = 20) -> float:
    """Operations per second of a square bfloat16 matrix product."""
    size = MATMUL if device.type == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    timed(lambda: a @ b, device)
    return 2 * size**3 / min(timed(lambda: a @ b, device) for _ in range(rounds))


def operations_per_token(engine: Engine) -> float:
    """Forward and backward: 6 per weight of a matrix (the head's too), and 12 b d T for attention's own products."""
    module, context = engine.world.mounted.module, engine.task.settings.context
    config = module.config
    matrices = sum(each.numel() for name, each in module.named_parameters() if each.ndim == 2 and "wpe" not in name)
    return 6.0 * matrices + 12.0 * config.num_hidden_layers * config.hidden_size * context


def train(config: RunConfig, device: torch.device, turns: int) -> dict[str, object]:
    """Turns of one engine after two to compile and allocate, then a swap and an event of all experts."""
    predicted = estimate(config)
    _forget_peak(device)
    with engine_of(config, device) as engine:
        engine.one_generation(), engine.one_generation()
        before = engine.world.progress.batches
        seconds = timed(lambda: [engine.one_generation() for _ in range(turns)], device)
        tokens = (engine.world.progress.batches - before) * engine.task.tokens_per_batch
        peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
        return {
            "experts": engine.world.population.size,
            "genes_of_one": engine.info.genes + engine.info.shared_genes,
            "home": engine.world.population.home,
            "tokens_per_s": tokens / seconds,
            "operations_per_token": operations_per_token(engine),
            "peak_bytes": peak,
            "predicted_peak_bytes": predicted.peak_bytes,
            "swap_s": min(_swap(engine, device) for _ in range(3)),
            "event_s": min(timed(lambda: _event(engine), device) for _ in range(5)),
        }


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _swap(engine: Engine, device: torch.device) -> float:
    world = engine.world
    following = ((world.mounted.row or 0) + 1) % world.population.size

    def swap() -> None:
        world.mounted.store(world.population)
        world.mounted.load(world.population, following)

    return timed(swap, device)


def _event(engine: Engine) -> None:
    population, config = engine.world.population, engine.config
    nothing = (float("nan"),) * population.size
    scene = Scene(actors=(0,), healthy=tuple(range(population.size)), scores=nothing, train_losses=nothing)
    entries = [Named(each.label, each.component) for each in config.vary]
    vary(
        population,
        entries,
        scene,
        generation=0,
        noise=Noise(config.seed).at("benchmark"),
        backend=config.backend,
        optimizer_state=config.optimizer_state,
    )


def measure(model: str, device: torch.device, steps: int, turns: int, rate: float) -> dict[str, object]:
    """EOE, the full depth, and the memory of other numbers of experts."""
    with tempfile.TemporaryDirectory() as folder:

        def run(*overrides: str) -> dict[str, object]:
            return train(configuration(model, Path(folder), device, steps, overrides), device, turns)

        layers = PRESETS[f"gpt2-{model}"].layers
        found = {"EOE": run("name=eoe"), "full depth": run("name=full", f"population.blocks_per_expert={layers}")}
    for row in found.values():
        row["share_of_matmul_rate"] = row["tokens_per_s"] * row["operations_per_token"] / rate
    eoe, full = found["EOE"], found["full depth"]
    return {
        "model": model,
        "runs": found,
        "tokens_ratio": eoe["tokens_per_s"] / full["tokens_per_s"],
        "operations_ratio": full["operations_per_token"] / eoe["operations_per_token"],
        "published_tokens_per_s": PUBLISHED.get(model),
    }


def memory_by_experts(model: str, device: torch.device, steps: int) -> list[dict[str, object]]:
    """Peak memory with 2, 4 and 6 experts of the same size, which live in host memory."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        size, blocks = PRESETS[f"gpt2-{model}"], {"nano": 2, "124m": 6, "774m": 6, "1558m": 8}[model]
        for experts in (2, 4, 6):
            shape = {
                "model_type": "gpt2",
                "n_layer": experts * blocks,
                "n_embd": size.width,
                "n_head": size.heads,
                "n_positions": max(size.positions, 64),
                "vocab_size": 50_304,
                "activation_function": size.activation,
            }
            file = Path(folder) / f"{experts}.json"
            file.write_text(json.dumps(shape))
            overrides = [f"name=experts{experts}", "population.home=host", f"population.blocks_per_expert={blocks}"]
            config = configuration(model, Path(folder), device, steps, [*overrides, f"task.model={file}"])
            found = train(config, device, 1)
            rows.append({"experts": experts, **{name: found[name] for name in ("peak_bytes", "swap_s", "event_s")}})
    return rows


def show(result: dict) -> None:
    """Print one model."""
    for name, row in result["runs"].items():
        peak = "unknown" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 1e9:.2f} GB"
        print(
            f"{result['model']:6s} {name:10s} {row['experts']} x {row['genes_of_one'] / 1e6:,.1f}M"
            f" {row['tokens_per_s']:12,.0f} tokens/s {row['share_of_matmul_rate']:6.1%} of the matmul rate,"
            f" peak {peak} (predicted {row['predicted_peak_bytes'] / 1e9:.2f} GB),"
            f" swap {row['swap_s'] * 1e3:.1f} ms, event {row['event_s'] * 1e3:.2f} ms, home {row['home']}"
        )
    published = result["published_tokens_per_s"]
    print(
        f"       EOE trains {result['tokens_ratio']:.2f} times as many tokens a second as full depth, by operations"
        f" {result['operations_ratio']:.2f}" + (f"; published on an RTX 4090: {published:,}/s" if published else "")
    )


def main() -> None:
    """Measure, print, and write the figures if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["124m", "774m", "1558m"], choices=["nano", *PUBLISHED])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=5, help="steps of a turn")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    device = torch.device(options.device)
    rate = matmul_rate(device)
    print(f"bfloat16 matmul: {rate / 1e12:.1f} TFLOP/s")
    results = []
    for model in options.models:
        results.append(measure(model, device, options.steps, options.turns, rate))
        show(results[-1])
    smallest = memory_by_experts(options.models[0], device, 2)
    print(f"peak memory by number of experts ({options.models[0]}, home host): {smallest}")
    if options.json:
        facts = {"machine": machine(device), "matmul_operations_per_s": rate, "models": results}
        options.json.write_text(json.dumps(facts | {"memory_by_experts": smallest}, indent=2) + "\n")


if __name__ == "__main__":
    main()
