"""Measures perturbation and update of an evolution strategy against the loop over tensors of published code, side by side.

    python benchmarks/weighted_noise.py [--genes 10000000 124000000] [--members 30] [--rounds 5] [--device cpu] [--json PATH]
                                        [--only TEXT] [--quick]

A perturbation writes a copy with the noise of one member; an update adds the noise of all members, weighted. The loop goes, seed
by seed, through the tensors of a GPT-2, draws each one's noise from a generator of that seed and adds it. All contestants
of a row act on the same tensors in one process and take turns. Nothing is timed before every backend gives the bits of the
reference.
"""

import argparse
import json
import statistics
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from cases import Contestant, Gate, Tensors, segments
from operators import contenders
from stopwatch import copy_bandwidth, extra_bytes, machine, seconds
from torch import Tensor

from evoweights_kernels import add_weighted_noise_, backends, stream_id
from report import show

SEED, SIGMA, RATE, PARITY_GENES = 42, 1e-3, 1e-4, (1 << 18) + 5
LOOP, FLAT = "torch, seed by seed and tensor by tensor", "torch, seed by seed, one flat tensor"
MOST_MEMORY = 0.01
"""Memory beside the tensors, as a share of x."""


@dataclass(frozen=True)
class Row:
    """What is measured: a perturbation (one member, from a base) or an update, and how weights are stored."""

    name: str
    is_update: bool
    bytes_per_gene: int
    dtype: torch.dtype
    gates: tuple[Gate, ...] = (Gate("cpu", LOOP, 3.0), Gate("cuda", LOOP, 1.1))

    def members(self, most: int) -> int:
        """Members whose noise is added."""
        return most if self.is_update else 1


ROWS = (
    Row("perturbation", False, 8, torch.float32, (Gate("cpu", LOOP, 3.0), Gate("cuda", LOOP, 2.0))),
    Row("perturbation from float32", False, 6, torch.bfloat16, (Gate("cpu", LOOP, 3.0), Gate("cuda", LOOP, 2.0))),
    Row("update", True, 8, torch.float32),
    Row("update, rounded stochastically", True, 4, torch.bfloat16),
)


def tensors(row: Row, genes: int, device: torch.device) -> Tensors:
    """The individual in float32, and what is written."""
    torch.manual_seed(SEED)
    base = torch.randn(genes, device=device)
    return {"base": base, "x": base.to(row.dtype, copy=True)}


def weights(row: Row, members: int) -> list[float]:
    """What each member's noise is multiplied by."""
    if not row.is_update:
        return [SIGMA]
    return [RATE / members * (2.0 * member / members - 1.0 + 1.0 / members) for member in range(members)]


def ours(row: Row, t: Tensors, members: int, backend: str, bits: int = 32) -> Contestant:
    """One launch."""
    count = row.members(members)
    return partial(
        add_weighted_noise_,
        t["x"],
        base=None if row.is_update else t["base"],
        streams=[stream_id(f"benchmark/{member}") for member in range(count)],
        weights=weights(row, count),
        seed=SEED,
        bits=bits,
        rounding=stream_id("benchmark/rounding") if row.is_update else None,
        backend=backend,
    )


def loop(views: list[Tensor], factors: list[float]) -> None:
    """Seed by seed, tensor by tensor: noise from a seeded generator, added in place."""
    generator = torch.Generator(views[0].device)
    for seed, factor in enumerate(factors):
        generator.manual_seed(seed)
        for view in views:
            noise = torch.randn(view.shape, generator=generator, device=view.device, dtype=view.dtype)
            view.add_(factor * noise)


def refuse_unless_equal(rows: list[Row], device: torch.device, names: list[str], members: int) -> None:
    """End the run if a backend does not give the reference's bits in every row."""
    for row in rows:
        for bits in (32, 16):
            right = tensors(row, PARITY_GENES, device)
            ours(row, right, members, "reference", bits)()
            for name in names:
                found = tensors(row, PARITY_GENES, device)
                ours(row, found, members, name, bits)()
                if wrong := int((found["x"].view(torch.uint8) != right["x"].view(torch.uint8)).sum()):
                    sys.exit(f"refused: {row.name}, {bits} bits: {wrong:,} bytes differ on {name}. Nothing was timed.")


def measure(row: Row, genes: int, device: torch.device, names: list[str], members: int, rounds: int) -> dict:
    """Seconds and extra memory of every contestant, one round after the other."""
    t = tensors(row, genes, device)
    factors = weights(row, row.members(members))
    field: dict[str, Contestant] = {f"ours, {name}": ours(row, t, members, name) for name in names}
    field[f"ours, {names[0]}, 16 bits a normal"] = ours(row, t, members, names[0], bits=16)
    field[LOOP] = partial(loop, segments(t["x"]), factors)
    field[FLAT] = partial(loop, [t["x"]], factors)
    for name, run in field.items():
        if name not in (LOOP, FLAT):
            run()  # compiles, and touches memory for the first time
    memory = {name: extra_bytes(run, device) for name, run in field.items()}
    times: dict[str, list[float]] = {name: [] for name in field}
    for _ in range(rounds):
        for name, run in field.items():
            times[name].append(seconds(run, device))
    size = genes * t["x"].element_size()
    return {
        name: {
            "min_s": min(taken),
            "median_s": statistics.median(taken),
            "genes_per_s": genes * len(factors) / min(taken),
            "extra_bytes_per_genome_byte": None if memory[name] is None else memory[name] / size,
        }
        for name, taken in times.items()
    }


def judged(row: Row, contestants: dict, device: torch.device, best: str, copy: float, genes: int, members: int) -> dict:
    """The row with the share of the copy bandwidth and every ratio that is asked for on this device."""
    fastest = contestants[best]["min_s"]
    gates = [
        {
            "against": gate.rival,
            "at_least": gate.at_least,
            "found": contestants[gate.rival]["min_s"] / fastest,
        }
        for gate in row.gates
        if gate.device == device.type
    ]
    extra = contestants[best]["extra_bytes_per_genome_byte"]
    if extra is not None:
        gates.append({"against": "memory, share of the genome", "at_most": MOST_MEMORY, "found": extra})
    count = row.members(members)
    return {
        "operator": f"{row.name}, {count} member{'s' * (count > 1)}, {genes:,} genes (counted once a member)",
        "dtype": str(row.dtype).removeprefix("torch."),
        "genes": genes,
        "members": count,
        "bytes_per_gene": row.bytes_per_gene,
        "contestants": contestants,
        "ours": best,
        "share_of_copy_bandwidth": row.bytes_per_gene * genes / fastest / copy,
        "gates": gates,
    }


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--genes", type=int, nargs="+", default=[10_000_000, 124_000_000])
    parser.add_argument("--members", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--only", default="", help="only rows whose name holds this text")
    parser.add_argument("--quick", action="store_true", help="a million genes, 5 members, 2 rounds: whether it runs")
    options = parser.parse_args()
    if options.quick:
        options.genes, options.members, options.rounds = [1_000_000], 5, 2
    return options


def main() -> None:
    """Check, measure, print, and write the figures if asked."""
    options = arguments()
    device, rows = torch.device(options.device), [row for row in ROWS if options.only in row.name]
    names = contenders(device)
    refuse_unless_equal(rows, device, names, options.members)
    copy = copy_bandwidth(max(options.genes), device, options.rounds)
    results = []
    for genes in options.genes:
        for row in rows:
            measured = measure(row, genes, device, names, options.members, options.rounds)
            results.append(judged(row, measured, device, f"ours, {names[0]}", copy, genes, options.members))
            show(results[-1])
    passed_over = {name: state.reason for name, state in backends().items() if not state.usable}
    head = {"rounds": options.rounds, "copy_bytes_per_s": copy, **machine(device)}
    print(json.dumps(head | {"not_run": passed_over}, indent=2))
    if options.json:
        options.json.write_text(json.dumps({"machine": head, "not_run": passed_over, "rows": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
