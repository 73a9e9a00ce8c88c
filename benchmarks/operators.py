"""Measures the operators against plain torch, torch._foreach, torch.compile and EvoTorch, side by side.

    python benchmarks/operators.py [--genes 124000000] [--device cpu] [--rounds 7] [--json PATH] [--only TEXT]

All contestants of a row act on the same tensors in one process and take turns, so that whatever else the machine does
hits them alike. The bandwidth of a plain copy is measured in the same run. Nothing is timed before every backend that is
going to be timed gives the bits of the reference, and a backend that cannot run is named with its reason.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

import cases
import torch
from cases import Case, Contestant, Gate, Tensors
from stopwatch import copy_bandwidth, extra_bytes, machine, seconds
from table import EVOTORCH, SEPARATE, table

from evoweights_kernels import apply_, backends
from report import show

PARITY_GENES = (1 << 18) + 5
CHILDREN = {"evotorch OnePointCrossOver": 2, "evotorch TwoPointCrossOver": 2, "evotorch SimulatedBinaryCrossOver": 2}
"""Genomes made by one call, where it is more than one: seconds are given for one."""


def contenders(device: torch.device) -> list[str]:
    """Our backends that run on the device, the default one first."""
    fast = [name for name, state in backends().items() if name != "reference" and state.usable]
    return [name for name in fast if (name == "cpu") == (device.type == "cpu")]


def refuse_unless_equal(rows: list[Case], device: torch.device, names: list[str]) -> None:
    """End the run if a backend does not give the reference's bits in every row."""
    for row in rows:
        torch.manual_seed(cases.SEED)
        start = cases.tensors(PARITY_GENES, device, row.dtype)
        found = {name: _applied(row, start, name) for name in ("reference", *names)}
        for name in names:
            for tensor in start:
                right, got = (found[each][tensor].view(torch.uint8) for each in ("reference", name))
                if wrong := int((right != got).sum()):
                    sys.exit(f"refused: {row.name}: {tensor} differs in {wrong:,} bytes on {name}. Nothing was timed.")


def _applied(row: Case, start: Tensors, backend: str) -> Tensors:
    copies = {name: tensor.clone() for name, tensor in start.items()}
    apply_(row.calls(copies), seed=cases.SEED, backend=backend)
    return copies


def measure(row: Case, genes: int, device: torch.device, names: list[str], rounds: int) -> dict[str, object]:
    """Seconds and extra memory of every contestant, one round after the other."""
    torch.manual_seed(cases.SEED)
    tensors = cases.tensors(genes, device, row.dtype)
    calls = row.calls(tensors)
    field: dict[str, Contestant] = {f"ours, {name}": cases.launch(calls, name) for name in names}
    if len(calls) > 1:
        field[SEPARATE] = cases.launch(calls, names[0], separate=True)
    field |= row.rivals(tensors)
    for run in field.values():
        run()  # compiles, and touches memory for the first time
    memory = {name: extra_bytes(run, device) for name, run in field.items()}
    times: dict[str, list[float]] = {name: [] for name in field}
    for _ in range(rounds):
        for name, run in field.items():
            times[name].append(seconds(run, device) / CHILDREN.get(name, 1))
    return {
        "operator": row.name,
        "dtype": str(row.dtype).removeprefix("torch."),
        "bytes_per_gene": row.bytes_per_gene,
        "contestants": {
            name: {
                "min_s": min(taken),
                "median_s": statistics.median(taken),
                "genes_per_s": genes / min(taken),
                "extra_bytes_per_genome_byte": _share(memory[name], genes * tensors["x"].element_size()),
            }
            for name, taken in times.items()
        },
    }


def _share(extra: int | None, genome: int) -> float | None:
    return None if extra is None else extra / genome


def judge(row: Case, result: dict, device: torch.device, ours: str, copy: float, genes: int) -> dict:
    """The result with the share of the copy bandwidth and every ratio that is asked for on this device."""
    contestants = result["contestants"]
    best = contestants[ours]["min_s"]
    share = row.bytes_per_gene * genes / best / copy
    gates = [judged for gate in row.gates if gate.device == device.type for judged in _judge(gate, contestants, best)]
    if device.type == "cuda" and row.copy_share:
        gates.append({"against": "copy bandwidth", "at_least": row.copy_share, "found": share})
    extra = contestants[ours]["extra_bytes_per_genome_byte"]
    if extra is not None:
        gates.append({"against": "memory, share of the genome", "at_most": 0.01, "found": extra})
    return result | {"ours": ours, "share_of_copy_bandwidth": share, "gates": gates}


def _judge(gate: Gate, contestants: dict, best: float) -> list[dict]:
    names = [
        name for name in contestants if name == gate.rival or (gate.rival == EVOTORCH and name.startswith(EVOTORCH))
    ]
    assert names, gate
    return [{"against": name, "at_least": gate.at_least, "found": contestants[name]["min_s"] / best} for name in names]


def main() -> None:
    """Check, measure, print, and write the figures if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--genes", type=int, default=124_000_000)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--only", default="", help="only rows whose name holds this text")
    options = parser.parse_args()
    device, rows = torch.device(options.device), [row for row in table() if options.only in row.name]
    names = contenders(device)
    refuse_unless_equal(rows, device, names)
    copy = copy_bandwidth(options.genes, device, options.rounds)
    results = []
    for row in rows:
        measured = measure(row, options.genes, device, names, options.rounds)
        results.append(judge(row, measured, device, f"ours, {names[0]}", copy, options.genes))
        show(results[-1])
    passed_over = {name: state.reason for name, state in backends().items() if not state.usable}
    head = {"genes": options.genes, "rounds": options.rounds, "copy_bytes_per_s": copy, **machine(device)}
    print(json.dumps(head | {"not_run": passed_over}, indent=2))
    if options.json:
        options.json.write_text(json.dumps({"machine": head, "not_run": passed_over, "rows": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
