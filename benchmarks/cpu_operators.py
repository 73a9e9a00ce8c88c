"""Measures the operators on this CPU against plain torch, side by side.

    python benchmarks/cpu_operators.py [--genes 10000000] [--repeats 9] [--json PATH]

All rows of a table run in one process and take turns, so that whatever else the machine does hits them alike.
Nothing is timed before the bits of the compiled kernels equal those of the reference.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from evoweights_kernels import Call, adamw_scalars, apply_, bodies, stream_id

SEED = 42
PARITY_GENES = (1 << 18) + 5


@dataclass(frozen=True)
class Row:
    """One comparison: our calls and what plain torch does instead; `floor` is the ratio asked for, 0 for none."""

    name: str
    calls: Callable[[dict[str, Tensor]], list[Call]]
    rival_name: str
    rival: Callable[[dict[str, Tensor]], object]
    bytes_per_gene: int
    floor: float = 0.0


def tensors(genes: int) -> dict[str, Tensor]:
    """A fresh set of individuals and states."""
    names = ("x", "leader", "best", "velocity", "gradient", "first_moment", "second_moment")
    made = {name: torch.randn(genes) for name in names}
    made["second_moment"].square_()
    return made


def streams(*names: str) -> dict[str, int]:
    """A stream per noise argument."""
    return {name: stream_id(f"benchmark/{name}") for name in names}


def towards(t: dict[str, Tensor]) -> list[Call]:
    """The velocity-free swarm step."""
    return [Call(bodies.pso_towards, {"x": t["x"], "leader": t["leader"]}, {"social": 2.0}, streams("z"))]


def crossover(bits: int) -> Callable[[dict[str, Tensor]], list[Call]]:
    """Uniform crossover with masks of `bits` bits."""
    kernel = {8: bodies.uniform_crossover_8, 16: bodies.uniform_crossover, 32: bodies.uniform_crossover_32}[bits]
    return lambda t: [Call(kernel, {"x": t["x"], "other": t["leader"]}, {"take": 0.6}, streams("take"))]


def mutation(t: dict[str, Tensor]) -> list[Call]:
    """Gaussian mutation of a tenth of the genes."""
    scale = torch.ones(-(-t["x"].numel() // 1024))
    noise = streams("touched", "mutation")
    noise["z"] = noise.pop("mutation")
    return [Call(bodies.gaussian_mutation, {"x": t["x"], "scale": scale}, {"sigma": 1e-3, "touched": 0.1}, noise)]


def event(t: dict[str, Tensor]) -> list[Call]:
    """Swarm step, crossover and mutation in one launch."""
    return [*towards(t), *crossover(16)(t), *mutation(t)]


def swarm(t: dict[str, Tensor]) -> list[Call]:
    """The swarm step with velocities."""
    roles = {"x": t["x"], "personal_best": t["best"], "leader": t["leader"], "velocity": t["velocity"]}
    scalars = {"inertia": 0.7, "cognitive": 1.4, "social": 1.4, "max_velocity": 1.0}
    return [Call(bodies.pso, roles, scalars, streams("r1", "r2"))]


def adamw(t: dict[str, Tensor]) -> list[Call]:
    """One AdamW step."""
    roles = {name: t[name] for name in ("x", "gradient", "first_moment", "second_moment")}
    return [Call(bodies.adamw, roles, adamw_scalars(1e-3, 0.1, 0.9, 0.95, 1e-8, step=7), {})]


def torch_towards(t: dict[str, Tensor]) -> Tensor:
    """The swarm step as one writes it in torch."""
    share = ((torch.randn_like(t["x"]) + 3.0) / 6.0).clip(max=1.0)
    return torch.where(share > 0, t["x"] + 2.0 * share * (t["leader"] - t["x"]), t["x"])


def torch_crossover(t: dict[str, Tensor], x: Tensor) -> Tensor:
    """Uniform crossover as one writes it in torch."""
    return torch.where(torch.rand_like(x) < 0.6, t["leader"], x)


def torch_mutation(x: Tensor) -> Tensor:
    """Gaussian mutation as one writes it in torch."""
    return torch.where(torch.rand_like(x) < 0.1, x + 1e-3 * torch.randn_like(x), x)


def torch_event(t: dict[str, Tensor]) -> None:
    """The three, one after the other."""
    t["x"].copy_(torch_mutation(torch_crossover(t, torch_towards(t))))


def torch_swarm(t: dict[str, Tensor]) -> None:
    """The swarm step with velocities as one writes it in torch."""
    x, velocity = t["x"], t["velocity"]
    own = 1.4 * torch.rand_like(x) * (t["best"] - x)
    velocity.copy_((0.7 * velocity + own + 1.4 * torch.rand_like(x) * (t["leader"] - x)).clamp(-1.0, 1.0))
    x.add_(velocity)


def fused_adamw(t: dict[str, Tensor]) -> Callable[[], object]:
    """Torch's own fused AdamW on one flat parameter."""
    parameter = torch.nn.Parameter(t["x"].clone())
    parameter.grad = t["gradient"].clone()
    return torch.optim.AdamW([parameter], lr=1e-3, weight_decay=0.1, betas=(0.9, 0.95), fused=True).step


def rows(genes: int) -> list[Row]:
    """The table."""
    step = fused_adamw(tensors(genes))
    chain = "torch: randn, rand, where"
    copy = "torch: where(rand < p)"
    return [
        Row("event, 3 operators fused", event, chain, torch_event, 12, floor=10.0),
        Row("swarm step towards a leader", towards, "torch: randn", lambda t: t["x"].copy_(torch_towards(t)), 12),
        *(
            Row(
                f"crossover, {bits}-bit masks",
                crossover(bits),
                copy,
                lambda t: t["x"].copy_(torch_crossover(t, t["x"])),
                12,
            )
            for bits in (8, 16, 32)
        ),
        Row("mutation", mutation, "torch: randn, rand", lambda t: t["x"].copy_(torch_mutation(t["x"])), 8),
        Row("swarm step with velocities", swarm, "torch: rand, clamp", torch_swarm, 24),
        Row("AdamW", adamw, "torch: AdamW(fused=True)", lambda _: step(), 28, floor=0.95),
    ]


def refuse_unless_equal(table: list[Row]) -> None:
    """End the run if a compiled kernel does not give the reference's bits."""
    for row in table:
        torch.manual_seed(SEED)
        start = tensors(PARITY_GENES)
        results = []
        for backend in ("reference", "cpu"):
            copies = {name: tensor.clone() for name, tensor in start.items()}
            apply_(row.calls(copies), seed=SEED, backend=backend)
            results.append(copies)
        for name in start:
            right, found = (result[name].view(torch.int32) for result in results)
            if wrong := (right != found).nonzero().flatten().tolist():
                first = wrong[0]
                values = f"{results[0][name][first]:.9g} in the reference, {results[1][name][first]:.9g} on the cpu"
                sys.exit(
                    f"refused: {row.name}: {name} differs in {len(wrong):,} of {PARITY_GENES:,} genes, from gene {first} "
                    f"to {wrong[-1]}; gene {first} is {values}. Nothing was timed."
                )


def measure(table: list[Row], genes: int, repeats: int) -> list[dict[str, object]]:
    """Seconds of each side, every round taking all rows once."""
    torch.manual_seed(SEED)
    data = tensors(genes)
    calls = [row.calls(data) for row in table]
    times: dict[tuple[int, str], list[float]] = {}
    for turn in range(repeats + 1):
        for number, row in enumerate(table):
            sides = {
                "ours": lambda calls=calls[number]: apply_(calls, seed=SEED, backend="cpu"),
                "rival": lambda row=row: row.rival(data),
            }
            for side, run in sides.items():
                start = time.perf_counter()
                run()
                if turn:  # the first round compiles and touches memory
                    times.setdefault((number, side), []).append(time.perf_counter() - start)
    return [result(row, genes, times[number, "ours"], times[number, "rival"]) for number, row in enumerate(table)]


def result(row: Row, genes: int, ours: list[float], rival: list[float]) -> dict[str, object]:
    """One row's figures; ratios are rival / ours, of medians and of minima."""
    return {
        "operator": row.name,
        "rival": row.rival_name,
        "ours_min_ms": min(ours) * 1e3,
        "ours_median_ms": statistics.median(ours) * 1e3,
        "rival_min_ms": min(rival) * 1e3,
        "rival_median_ms": statistics.median(rival) * 1e3,
        "million_genes_per_second": genes / min(ours) / 1e6,
        "gigabytes_per_second": genes * row.bytes_per_gene / min(ours) / 1e9,
        "ratio_of_minima": min(rival) / min(ours),
        "ratio_of_medians": statistics.median(rival) / statistics.median(ours),
        "floor": row.floor,
    }


def show(results: list[dict[str, object]]) -> None:
    """Print the table."""
    print(f"{'operator':30s} {'ours ms':>17s} {'rival ms':>17s} {'M genes/s':>10s} {'GB/s':>6s} {'ratio':>13s}  rival")
    print(f"{'':30s} {'min / median':>17s} {'min / median':>17s} {'':>10s} {'':>6s} {'min / median':>13s}")
    for r in results:
        print(
            f"{r['operator']:30s} {r['ours_min_ms']:8.2f} {r['ours_median_ms']:8.2f}"
            f" {r['rival_min_ms']:8.2f} {r['rival_median_ms']:8.2f}"
            f" {r['million_genes_per_second']:10.0f} {r['gigabytes_per_second']:6.1f}"
            f" {r['ratio_of_minima']:6.2f} {r['ratio_of_medians']:6.2f}  {r['rival']}"
            + (
                f"  (at least {r['floor']:g}: {'yes' if r['ratio_of_minima'] >= r['floor'] else 'NO'})"
                if r["floor"]
                else ""
            )
        )


def main() -> None:
    """Check, measure, print, and write the figures if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--genes", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    table = rows(options.genes)
    refuse_unless_equal(table)
    results = measure(table, options.genes, max(options.repeats, 7))
    machine = {
        "genes": options.genes,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": platform.processor() or platform.machine(),
        "load_average": os.getloadavg()[0],
    }
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    show(results)
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "rows": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
