"""What subnetworks save: seconds beside operations by stage, and the loss of EST beside that of full training.

    python benchmarks/est.py [--widths 512 768] [--rounds 9] [--device cuda] [--json FILE]
    python benchmarks/est.py --training [--seeds 1 2 3] [--generations 12] [--json FILE]

Steps are those of AdamW on a Llama or a GPT-2 of random weights and tokens, of the full model and of the subnetwork in turn,
after one of each to compile and allocate; the median counts. Operations are three times those of a forward pass, head included.
Training is `configs/est_gpt2.yaml` on equal tokens, and full training for as many operations of the layers as EST has.
"""

import argparse
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from stopwatch import machine
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from evoweights.config.loading import load_config
from evoweights.founding import mount_blueprint
from evoweights.improvers import Improver, Moment
from evoweights.mounted import Blueprint, Mounted
from evoweights.progress import Progress
from evoweights.runs import session
from evoweights.seeds import Noise, seeded
from evoweights.task import Task
from evoweights.training import Feed
from evoweights_classic import AdamW
from evoweights_est.est import SubnetworkTraining
from evoweights_lm.flops import Matrices, Reading, matrices_of
from evoweights_lm.loss import next_token_loss

CONFIGS = Path(__file__).parent.parent / "configs"
VOCABULARY, LAYERS = 4096, 4
WANTED = 0.6
"""Share of the saved operations that shall appear as saved seconds, with windows, from WIDE on."""
WIDE = 512
EVER = {"layers_until": 1.0, "widths_until": 1.0}
STAGES = {"1: half of layers, heads and neurons": 0.5, "2: half of heads and neurons": 1.0}
"""Share of the layers that are in, by stage."""


class RandomTokens(Task):
    """The same random tokens in every batch."""

    def __init__(self, model: nn.Module, tokens: Tensor) -> None:
        self.model, self.tokens = model, tokens
        self.tokens_per_batch = tokens[:, 1:].numel()

    def build(self) -> nn.Module:
        """The model."""
        return self.model

    def batch(self, index: int) -> Tensor:
        """The tokens."""
        del index  # unused: speed does not depend on what they are
        return self.tokens

    def loss(self, module: nn.Module, batch: Tensor) -> Tensor:
        """Mean cross-entropy."""
        return next_token_loss(module, batch[:, :-1], batch[:, 1:])

    def evaluate(self, module: nn.Module) -> float:
        """The loss of the same tokens."""
        return float(self.loss(module, self.tokens).detach())


@dataclass(frozen=True)
class Count:
    """An optimizer that changes nothing and gives the floating-point operations of a forward pass for its loss."""

    matrices: Matrices
    reading: Reading
    name: ClassVar[str] = "count"
    source: ClassVar[str] = "this benchmark"
    steps: ClassVar[int] = 1
    slots: ClassVar[tuple[()]] = ()

    def step(self, mounted: Mounted, feed: Feed, moment: Moment) -> float:
        """By the formula of the ledger."""
        del feed, moment  # unused: no pass is made
        return self.matrices.forward(self.reading, mounted.share)


@dataclass(frozen=True)
class Bench:
    """A model mounted for AdamW, and what takes its steps; ``matrices`` are those of the whole model."""

    task: RandomTokens
    mounted: Mounted
    matrices: Matrices

    def step(self, improver: Improver, number: int) -> float:
        """The loss of a step; its number says which subnetwork."""
        noise = Noise(1)
        moment = Moment(number, 1_000_000, noise.at(number), "auto", noise)
        return improver.step(self.mounted, Feed(self.task, Progress()), moment)

    def seconds(self, improver: Improver, number: int) -> float:
        """Seconds of a step."""
        self._wait()
        started = time.perf_counter()
        self.step(improver, number)
        self._wait()
        return time.perf_counter() - started

    def operations(self, improver: Improver) -> float:
        """Floating-point operations of a step: three times those of its forward pass."""
        batch, context = self.task.tokens[:, 1:].shape
        count = Count(self.matrices, Reading.of(batch, context))
        return 3 * self.step(
            replace(improver, optimizer=count) if isinstance(improver, SubnetworkTraining) else count, 1
        )

    def _wait(self) -> None:
        if self.mounted.own.weights.device.type == "cuda":
            torch.cuda.synchronize()


def gpt2(width: int) -> nn.Module:
    """A GPT-2 of this width with heads of 64."""
    config = GPT2Config(
        vocab_size=VOCABULARY, n_embd=width, n_layer=LAYERS, n_head=width // 64, activation_function="gelu_pytorch_tanh",
        attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0, use_cache=False, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return GPT2LMHeadModel(config)


def llama(width: int) -> nn.Module:
    """A Llama of this width with heads of 64."""
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=width, intermediate_size=width * 8 // 3 // 64 * 64,
        num_hidden_layers=LAYERS, num_attention_heads=width // 64, use_cache=False,
    )  # fmt: skip
    return LlamaForCausalLM(config)


FAMILIES: dict[str, Callable[[int], nn.Module]] = {"gpt2": gpt2, "llama": llama}


def bench_of(family: str, width: int, device: torch.device, *, batch: int, context: int) -> Bench:
    """A fresh model on random tokens."""
    with seeded(Noise(1)):
        model = FAMILIES[family](width).train().to(device)
        tokens = torch.randint(VOCABULARY, (batch, context + 1)).to(device)
    blueprint = Blueprint(model, 1, initialise=lambda row: None, is_shared=lambda name: False)
    mounted = mount_blueprint(blueprint, device, improvers=[AdamW()])
    return Bench(RandomTokens(model, tokens), mounted, matrices_of(model))


def savings(bench: Bench, sampling: str, rounds: int) -> list[dict[str, object]]:
    """Of each stage, the shares of operations and of seconds that it saves."""
    full, rows = AdamW(), []
    all_operations = bench.operations(full)
    for stage, layers in STAGES.items():
        part = SubnetworkTraining(layers=layers, sampling=sampling, optimizer=AdamW(), **EVER)
        operations = bench.operations(part)
        times: dict[str, list[float]] = {"full": [], "part": []}
        for number in range(rounds + 1):
            found = {"full": bench.seconds(full, number + 1), "part": bench.seconds(part, number + 1)}
            for label, seconds in found.items() if number else ():  # the first one compiles and allocates
                times[label].append(seconds)
        whole, less = (statistics.median(times[label]) for label in ("full", "part"))
        of_operations, of_seconds = 1 - operations / all_operations, 1 - less / whole
        rows.append(
            {
                "stage": stage,
                "sampling": sampling,
                "full_seconds": whole,
                "part_seconds": less,
                "saved_operations": of_operations,
                "saved_seconds": of_seconds,
                "realised": of_seconds / of_operations,
            }
        )
    return rows


def measure(arguments: argparse.Namespace) -> list[dict[str, object]]:
    """Every family, width, sampling and stage."""
    rows = []
    for family in arguments.families:
        for width in arguments.widths:
            bench = bench_of(family, width, arguments.device, batch=arguments.batch, context=arguments.context)
            for sampling in ("window", "random"):
                for row in savings(bench, sampling, arguments.rounds):
                    rows.append({"family": family, "width": width, **row})
                    _say(
                        f"{family:6s} {width:5d} {sampling:7s} stage {row['stage']:37s} {row['full_seconds']:7.3f} s -> "
                        f"{row['part_seconds']:7.3f} s   saved {row['saved_operations']:5.1%} of operations, "
                        f"{row['saved_seconds']:5.1%} of seconds: {row['realised']:4.0%}{_verdict(width, row)}"
                    )
    return rows


def _verdict(width: int, row: dict[str, object]) -> str:
    if row["sampling"] != "window" or width < WIDE:
        return ""
    return f"  (at least {WANTED:.0%} wanted: {'yes' if float(str(row['realised'])) >= WANTED else 'NO'})"


def cost(improver: SubnetworkTraining, total: int) -> float:
    """Operations of the layers over a run, relative to full training."""
    shares = [improver.shares_at(step, total) for step in range(1, total + 1)]
    return sum(each.layers * (each.heads + each.neurons) / 2 for each in shares) / total


def contestants(generations: int) -> dict[str, list[str]]:
    """What is trained, as changes of the configuration."""
    config = load_config(CONFIGS / "est_gpt2.yaml", [f"generations={generations}"])
    improver = config.improve[0].component
    assert isinstance(improver, SubnetworkTraining)
    steps = generations * improver.steps
    whole = [f"improve.0.{name}=1.0" for name in ("heads", "neurons", "layers")]
    fewer = max(1, round(generations * cost(improver, steps)))
    return {
        "full": [*whole, f"generations={generations}"],
        "EST, windows": [f"generations={generations}"],
        "EST, random": ["improve.0.sampling=random", f"generations={generations}"],
        "EST, random, layers scaled": [
            "improve.0.sampling=random", "improve.0.scale_layers=true", f"generations={generations}",
        ],
        "full, as costly as EST": [*whole, f"generations={fewer}"],
    }  # fmt: skip


def train(arguments: argparse.Namespace) -> list[dict[str, object]]:
    """Every contestant with every seed, on the same data."""
    rows = []
    for label, overrides in contestants(arguments.generations).items():
        found = [_trained(overrides, seed, arguments.device) for seed in arguments.seeds]
        losses = [loss for loss, _ in found]
        spread = statistics.stdev(losses) if len(losses) > 1 else None
        row = {
            "label": label,
            "losses": losses,
            "mean": statistics.mean(losses),
            "spread": spread,
            "seconds": statistics.mean(seconds for _, seconds in found),
        }
        rows.append(row)
        shown = "" if spread is None else f" (sd {spread:.4f})"
        _say(f"{label:28s} validation loss {row['mean']:.4f}{shown}, {row['seconds']:.0f} s")
    return rows


def _trained(overrides: Sequence[str], seed: int, device: torch.device) -> tuple[float, float]:
    """The validation loss at the end of a run, and its seconds."""
    with tempfile.TemporaryDirectory() as folder:
        config = load_config(
            CONFIGS / "est_gpt2.yaml", [*overrides, f"seed={seed}", "observers=[]", f"device={device}"]
        )
        result = session.run(replace(config, output=Path(folder)))
        lines = (Path(folder) / config.name / "metrics.jsonl").read_text().splitlines()
        return float(json.loads(lines[-1])["fitness"][0]), result.seconds


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--training", action="store_true", help="compare losses instead of speed")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--widths", nargs="+", type=int, default=[WIDE, 768])
    parser.add_argument("--batch", type=int, default=8, help="sequences of a step")
    parser.add_argument("--context", type=int, default=256, help="tokens of a sequence")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--generations", type=int, default=12, help="of 50 steps each")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    rows = train(arguments) if arguments.training else measure(arguments)
    if arguments.json:
        found = {"machine": machine(arguments.device), "training" if arguments.training else "speed": rows}
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
