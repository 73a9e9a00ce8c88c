"""Measures members of low rank in one forward pass against plain inference of the same batch, side by side.

    python benchmarks/low_rank.py [--members 32] [--rank 1] [--device cpu] [--rounds 7] [--json PATH] [--only TEXT]

All contestants of a model score the same tokens in one process and take turns: the model as it is on ``members`` copies of the
batch; the members, their noise made before; the members, their noise made in the time that is measured. Nothing is timed before
the members' scores equal those of models whose weights are written out.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from stopwatch import machine, seconds
from torch import Tensor, nn
from torch.nn import functional

from evoweights.genome import layout_of
from evoweights.homes.part import mount_
from evoweights.mounted import Mounted
from evoweights.seeds import Noise, seeded
from evoweights_es.batched import as_members
from evoweights_es.low_rank import LowRank
from evoweights_es.member import Member, Place

VOCABULARY, CONTEXT, SIGMA = 2048, 128, 1e-3
PLACE = Place(noise=Noise(11, "benchmark"), fixed=Noise(11, "fixed"), backend="auto")
PLAIN, BEFORE, ON_THE_FLY = "plain inference", "members, noise made before", "members, noise on the fly"
GATES = {"cpu": {ON_THE_FLY: 0.60}, "cuda": {ON_THE_FLY: 0.69, BEFORE: 0.91}}
"""Least share of the tokens per second of plain inference, by device; those of a GPU are published for EGGROLL."""
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 3e-2}


@dataclass(frozen=True)
class Row:
    """A GPT-2 and the sequences each member scores."""

    name: str
    layers: int
    width: int
    heads: int
    sequences: int
    dtype: torch.dtype = torch.float32

    def build(self, device: torch.device) -> nn.Module:
        """The model with fresh weights."""
        config = transformers.GPT2Config(
            vocab_size=VOCABULARY,
            n_positions=CONTEXT,
            n_embd=self.width,
            n_layer=self.layers,
            n_head=self.heads,
            activation_function="gelu_pytorch_tanh",
        )
        with seeded(Noise(11, self.name)):
            return transformers.GPT2LMHeadModel(config).eval().to(device, self.dtype)


ROWS = {
    "cpu": [
        Row("gpt2-nano", layers=4, width=128, heads=4, sequences=4),
        Row("2 layers of gpt2-124m", layers=2, width=768, heads=12, sequences=1),
    ],
    "cuda": [
        Row("gpt2-nano", layers=4, width=128, heads=4, sequences=4),
        Row("gpt2-124m", layers=12, width=768, heads=12, sequences=4, dtype=torch.bfloat16),
        Row("4 layers of width 4,096", layers=4, width=4096, heads=32, sequences=4, dtype=torch.bfloat16),
    ],
}


@dataclass(frozen=True)
class Sequences:
    """The same sequences, however often they are scored."""

    model: nn.Module
    ids: Tensor

    def scores(self, copies: int = 1) -> Tensor:
        """Mean cross-entropy of every sequence."""
        ids = self.ids.repeat(copies, 1)
        with torch.no_grad():
            logits = self.model(input_ids=ids[:, :-1], use_cache=False).logits
            losses = functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
            return losses.view(len(ids), -1).float().mean(1).double().cpu()


def refuse_unless_equal(row: Row, device: torch.device, members: int, rank: int) -> None:
    """End the run if members do not score what models with their weights score; the noise is ten times that of the race."""
    model = row.build(device)
    if row.dtype == torch.bfloat16:  # its weights have no room for the noise
        model = model.float()
    individual, subset = _mounted(model, device), Sequences(model, _ids(row, device))
    who, low_rank = [Member(each // 2, 1.0 - 2 * (each % 2)) for each in range(min(4, members))], LowRank(rank=rank)
    found = low_rank.scores(individual, subset, who, sigma=10 * SIGMA, place=PLACE)
    kept = individual.own.weights.clone()
    for member, scores in zip(who, found, strict=True):
        for segment in low_rank.segments(individual.own):
            noise = torch.zeros(segment.count, device=device)
            one = [0.0] * member.direction + [1.0]
            low_rank.add_estimate_(noise, individual.own, "own", segment, 0, one, place=PLACE)
            segment.view(individual.own.weights).flatten().add_(noise, alpha=10 * SIGMA * member.sign)
        wrong = float((subset.scores() - scores).abs().max())
        individual.own.weights.copy_(kept)
        if not wrong <= TOLERANCE[torch.float32]:
            sys.exit(
                f"refused: {row.name}: {member} scores {wrong:.2g} beside its weights written out. Nothing was timed."
            )


def _mounted(model: nn.Module, device: torch.device) -> Mounted:
    names = [name for name, _ in model.named_parameters()]
    own, shared = (mount_(model, layout_of(model, each), device=device, gradient=False) for each in (names, []))
    return Mounted(module=model, own=own, shared=shared)


def _ids(row: Row, device: torch.device) -> Tensor:
    ids = torch.randint(VOCABULARY, (row.sequences, CONTEXT + 1), generator=Noise(11, "tokens").generator())
    return ids.to(device)


def measure(row: Row, device: torch.device, members: int, rank: int, rounds: int) -> dict[str, object]:
    """Tokens per second of every contestant, one round after the other."""
    model = row.build(device)
    individual, subset = _mounted(model, device), Sequences(model, _ids(row, device))
    who, low_rank = [Member(each, 1.0) for each in range(members)], LowRank(rank=rank, members_at_once=members)
    changes = low_rank.changes(individual, who, sigma=SIGMA, place=PLACE)

    def made_before() -> Tensor:
        with as_members(model, changes):
            return subset.scores(members)

    field: dict[str, Callable[[], Tensor]] = {
        PLAIN: lambda: subset.scores(members),
        BEFORE: made_before,
        ON_THE_FLY: lambda: low_rank.scores(individual, subset, who, sigma=SIGMA, place=PLACE),
    }
    for run in field.values():
        run()  # compiles kernels, checks the model, and touches memory for the first time
    times: dict[str, list[float]] = {name: [] for name in field}
    for _ in range(rounds):
        for name, run in field.items():
            times[name].append(seconds(run, device))
    tokens, best = members * row.sequences * CONTEXT, min(times[PLAIN])
    return {
        "model": row.name,
        "dtype": str(row.dtype).removeprefix("torch."),
        "parameters": sum(each.numel() for each in model.parameters()),
        "members": members,
        "rank": rank,
        "tokens": tokens,
        "contestants": {
            name: {
                "min_s": min(taken),
                "median_s": statistics.median(taken),
                "tokens_per_s": tokens / min(taken),
                "of_plain": best / min(taken),
            }
            for name, taken in times.items()
        },
    }


def show(result: dict, device: torch.device) -> None:
    """Print one model: every contestant, then what is asked for."""
    print(
        f"\n{result['model']}, {result['dtype']}, {result['parameters']:,} parameters, {result['members']} members of rank "
        f"{result['rank']}, {result['tokens']:,} tokens"
    )
    for name, found in result["contestants"].items():
        print(
            f"  {name:28s} {found['min_s'] * 1e3:10.2f} ms (median {found['median_s'] * 1e3:10.2f})"
            f" {found['tokens_per_s']:12,.0f} tokens/s {found['of_plain']:7.1%}"
        )
    for name, least in GATES[device.type].items():
        share = result["contestants"][name]["of_plain"]
        print(f"    {'met   ' if share >= least else 'MISSED'} {name}: {share:.1%} of plain, at least {least:.0%}")


def main() -> None:
    """Check, measure, print, and write the figures if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, default=32)
    parser.add_argument("--rank", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--only", default="", help="only models whose name holds this text")
    options = parser.parse_args()
    device = torch.device(options.device)
    rows = [row for row in ROWS[device.type] if options.only in row.name]
    for row in rows:
        refuse_unless_equal(row, device, options.members, options.rank)
    results = []
    for row in rows:
        results.append(measure(row, device, options.members, options.rank, options.rounds))
        show(results[-1], device)
    head = {"rounds": options.rounds, "sigma": SIGMA, "context": CONTEXT, **machine(device)}
    print(json.dumps(head, indent=2))
    if options.json:
        options.json.write_text(json.dumps({"machine": head, "rows": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
