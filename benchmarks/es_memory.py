"""The memory of a step without gradients: an evaluation alone, an ES generation, and an AdamW step of GPT-2 124M.

Each runs in a process of its own; what counts is its peak less what the process had before the model was built. Batch 1, short
context, weights once (a single individual on its own device). Linux only.

    python benchmarks/es_memory.py [--context 64] [--json FILE]
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from stopwatch import forget_peak, process_bytes, settle

ROWS = (
    ("float32", "evaluation"),
    ("float32", "gaussian"),
    ("float32", "low_rank"),
    ("float32", "adamw"),
    ("bfloat16", "evaluation"),
    ("bfloat16", "gaussian"),
    ("bfloat16", "low_rank"),
    ("mixed", "adamw"),
)
MOST_OF_EVALUATION, LEAST_BELOW_ADAMW = 1.1, 4.0


@dataclass
class Feed:
    """One sequence, to be scored or differentiated."""

    tokens: torch.Tensor

    def draw(self, mounted: object) -> "Feed":
        """The same sequence every time."""
        self.mounted = mounted
        return self

    @torch.no_grad()
    def scores(self, copies: int = 1) -> torch.Tensor:
        """Mean loss of the sequence, for every copy."""
        from evoweights_lm.loss import sequence_losses

        ids = self.tokens.repeat(copies, 1)
        return sequence_losses(self.mounted.module, ids[:, :-1], ids[:, 1:]).double()

    def add_gradient_(self, mounted: object) -> torch.Tensor:
        """Backward through the loss."""
        from evoweights_lm.loss import next_token_loss

        mounted.refresh_()
        loss = next_token_loss(mounted.module, self.tokens[:, :-1], self.tokens[:, 1:])
        loss.backward()
        return loss.detach()


def peak(dtype: str, what: str, context: int) -> int:
    """Bytes that the model and one step take at most; the step is taken twice, and compiles its kernels first."""
    import transformers

    from evoweights.founding import mount_blueprint
    from evoweights.improvers import Moment
    from evoweights.mounted import Blueprint
    from evoweights.seeds import Noise
    from evoweights_classic.adamw import AdamW
    from evoweights_es.es import EvolutionStrategy
    from evoweights_es.gaussian import Gaussian
    from evoweights_es.low_rank import LowRank

    perturbation = {"gaussian": Gaussian(), "low_rank": LowRank(members_at_once=1)}.get(what, Gaussian())
    improver = AdamW() if what == "adamw" else EvolutionStrategy(members=2, check_every=0, perturbation=perturbation)
    small = transformers.GPT2Config(n_layer=1, n_embd=64, n_head=2, vocab_size=512, n_positions=context)
    before = 0
    for config in (small, transformers.GPT2Config(vocab_size=50304)):
        weights = torch.bfloat16 if dtype == "bfloat16" else torch.float32
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=weights).eval()
        blueprint = Blueprint(model, 1, initialise=lambda row: None, is_shared=lambda name: False)
        mounted = mount_blueprint(blueprint, torch.device("cpu"), improvers=[improver])
        if dtype == "mixed":
            mounted.compute_in_(torch.bfloat16)
        feed = Feed(torch.arange(context + 1).remainder(config.vocab_size)[None])
        feed.draw(mounted)
        settle()  # founding has had the weights twice for a moment
        forget_peak()
        for step in (1, 2):
            moment = Moment(step, 2, Noise(1, f"step {step}"), "auto", Noise(1, "fixed"))
            feed.scores() if what == "evaluation" else improver.step(mounted, feed, moment)
        if config is small:  # everything is imported and compiled now
            del model, blueprint, mounted, feed
            settle()
            before = process_bytes("VmRSS")
    return process_bytes("VmHWM") - before


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", nargs=2, metavar=("DTYPE", "WHAT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(peak(*arguments.one, arguments.context))
        return
    found = {}
    for dtype, what in ROWS:
        command = [sys.executable, __file__, "--one", dtype, what, "--context", str(arguments.context)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
        found[f"{dtype} {what}"] = int(done.stdout.split()[-1])
        print(f"{dtype:9s} {what:11s} {found[f'{dtype} {what}'] / 2**20:8,.0f} MiB")
    for dtype, adamw in (("float32", "float32 adamw"), ("bfloat16", "mixed adamw")):
        alone, best = found[f"{dtype} evaluation"], found[adamw]
        for what in ("gaussian", "low_rank"):
            of_alone, below = found[f"{dtype} {what}"] / alone, best / found[f"{dtype} {what}"]
            print(
                f"{dtype} {what}: {of_alone:.3f} of an evaluation (at most {MOST_OF_EVALUATION}), {below:.2f} times less than "
                f"{adamw} (at least {LEAST_BELOW_ADAMW})"
            )
    if arguments.json:
        facts = {"torch": torch.__version__, "context": arguments.context, "peak_bytes": found}
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
