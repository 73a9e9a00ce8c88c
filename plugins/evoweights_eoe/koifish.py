"""EOE as its author's published code runs it, which differs from the paper; schedule and settings by its numbers."""

from dataclasses import dataclass
from typing import ClassVar

from evoweights.catalog import Preset, setting
from evoweights.operators import Turn
from evoweights.seeds import Noise

SOURCE = "Chen 2025, arXiv 2509.24436, as in the published code (github.com/gruai/koifish, commit a526917)"


@dataclass(frozen=True)
class KoifishTurn:
    """Round robin by steps t = 1, 2, ..., T: expert floor(t / S) mod N trains; operators act at t = k S - 1 for k >= N.

    So the first turn has S - 1 steps, the first N - 1 turns end without operators, and so does a last turn that T cuts short:
    floor((T + 1) / S) - N + 1 events in all.
    """

    name: ClassVar[str] = "koifish"
    source: ClassVar[str] = SOURCE

    switch: int = setting(100, "S, steps between changes of the expert", unit="steps", minimum=1)
    total_steps: int = setting(0, "T, steps of the whole run; 0: as many as whole turns give", unit="steps", minimum=0)

    def choose(self, generation: int, size: int, noise: Noise) -> Turn:
        """Turn number ``generation``: the steps t with floor(t / S) = generation."""
        del noise  # unused: the schedule is fixed
        first, last = max(1, generation * self.switch), (generation + 1) * self.switch - 1
        end = min(last, self.total_steps) if self.total_steps else last
        is_event = generation + 1 >= size and end == last
        return Turn((generation % size,), steps=max(0, end - first + 1), varies=is_event)


KOIFISH = Preset(
    name="koifish",
    values={
        "optimizer_state": "keep",
        "population": {"name": "experts", "residual_scale": False},
        "turn": {"name": "koifish", "switch": 100},
        "improve": [
            {
                "name": "adamw",
                "learning_rate": 1.0e-3,
                "weight_decay": 0.1,
                "beta1": 0.9,
                "beta2": 0.95,
                "epsilon": 1.0e-8,
                "schedule": "cosine",
                "warmup_steps": 600,
                "final_share": 0.01,
                "clip_norm": 1.0,
                "clip_by": "tensor_by_depth",
                "bias_correction": "run",
            }
        ],
        "vary": [
            {"name": "pso", "social": 2.0, "direction": "current_to_others", "scope": "matrices"},
            {"name": "crossover", "rate": 0.6, "direction": "current_to_others", "scope": "matrices"},
        ],
        "select": {"name": "best"},
    },
    doc=(
        "EOE as published in code: the expert that has just trained overwrites the matrices of all others (PSO, then crossover); "
        "gradients are clipped per tensor at 1/L, bias correction counts the run's steps, moments are kept."
    ),
    source=SOURCE,
    provider="evoweights_eoe",
)
