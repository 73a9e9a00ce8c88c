"""AdamW on flat buffers: one fused launch for the decayed genes of a part and one for the rest."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from evoweights.catalog import setting
from evoweights.improvers import Feed, Moment, NonFiniteStep
from evoweights_kernels import adamw_scalars, bodies

if TYPE_CHECKING:
    import torch

    from evoweights.homes.part import Part
    from evoweights.mounted import Mounted
    from evoweights.population import Slot

FIRST, SECOND, STEPS = "adamw.first_moment", "adamw.second_moment", "adamw.steps"
DECAYED, PLAIN = ("matrix", "embedding"), ("vector",)


@dataclass(frozen=True)
class AdamW:
    """Gradient steps with decoupled weight decay; matrices and embeddings decay, vectors (biases, norms) do not.

    Each individual keeps its own moments and step count, the shared part keeps its own as well.
    """

    name: ClassVar[str] = "adamw"
    source: ClassVar[str] = "Loshchilov and Hutter 2019, arXiv 1711.05101; Kingma and Ba 2015, arXiv 1412.6980"

    steps: int = setting(50, "steps in one turn", unit="steps", minimum=0)
    learning_rate: float = setting(1.0e-3, "peak step size", unit="weight per step", minimum=0.0)
    weight_decay: float = setting(0.1, "decoupled decay; times the learning rate per step", minimum=0.0)
    beta1: float = setting(0.9, "decay of the first moment", minimum=0.0, maximum=0.999999)
    beta2: float = setting(0.95, "decay of the second moment", minimum=0.0, maximum=0.999999)
    epsilon: float = setting(1.0e-8, "added to the root of the second moment", minimum=1.0e-16)
    schedule: str = setting(
        "constant", "learning rate after warm-up, over the whole run", choices=("constant", "linear", "cosine")
    )
    warmup_steps: int = setting(0, "steps of linear warm-up, counted over the whole run", unit="steps", minimum=0)
    final_share: float = setting(0.1, "share of the peak at the end of the schedule", minimum=0.0, maximum=1.0)
    clip_norm: float = setting(1.0, "largest gradient norm; 0 turns clipping off", unit="L2 norm", minimum=0.0)
    clip_by: str = setting(
        "all",
        "norm that is limited: of all gradients together, of each tensor, or of each tensor with clip_norm divided by the "
        "layers of the undivided model",
        choices=("all", "tensor", "tensor_by_depth"),
    )
    bias_correction: str = setting(
        "own",
        "step count that corrects the moments: of the individual (and of the shared part), or of the whole run",
        choices=("own", "run"),
    )
    rounding: str = setting("stochastic", "how bfloat16 weights are rounded", choices=("stochastic", "nearest"))
    moments: str = setting(
        "float32", "type of the two moments; bfloat16 is rounded to nearest", choices=("float32", "bfloat16")
    )

    @property
    def slots(self) -> "tuple[Slot, ...]":
        """The two moments."""
        from evoweights.population import Slot

        return (Slot(FIRST, dtype=self.moments), Slot(SECOND, dtype=self.moments))

    def rate_at(self, moment: Moment) -> float:
        """The learning rate of a step."""
        if moment.step <= self.warmup_steps:
            return self.learning_rate * moment.step / self.warmup_steps
        if self.schedule == "constant":
            return self.learning_rate
        done = (moment.step - self.warmup_steps) / max(1, moment.total_steps - self.warmup_steps)
        falling = 1 - done if self.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        return self.learning_rate * (self.final_share + (1 - self.final_share) * max(0.0, falling))

    def step(self, mounted: "Mounted", feed: Feed, moment: Moment) -> float:
        """One step on the mounted individual and the shared part."""
        import torch

        for part in mounted.parts:
            part.gradient.zero_()
        loss = feed.add_gradient_(mounted)
        # Both at once: on an accelerator every look at a number waits for all the work before it.
        value, norm = torch.stack([loss.double(), _gradient_norm(mounted).double()]).tolist()
        if not math.isfinite(value):
            raise NonFiniteStep(f"the loss is {value}")
        if not math.isfinite(norm):
            raise NonFiniteStep(f"the loss is {value:.4g} but the norm of its gradient is {norm}")
        self._clip_(mounted, norm)
        for label, part in zip(("own", "shared"), mounted.parts, strict=False):
            self._update_(part, label, moment)
        return value

    def _clip_(self, mounted: "Mounted", norm: float) -> None:
        """Limit the gradients in place, given the norm of all of them."""
        import torch

        if self.clip_norm == 0.0:
            return
        if self.clip_by == "all":
            if norm > self.clip_norm:
                for part in mounted.parts:
                    part.gradient.mul_(self.clip_norm / (norm + 1e-6))
            return
        limit = self.clip_norm / (mounted.depth if self.clip_by == "tensor_by_depth" else 1)
        gradients = [each.view(part.gradient) for part in mounted.parts for each in part.layout.scope("all")]
        norms = torch.stack([torch.linalg.vector_norm(each, dtype=torch.float32) for each in gradients])
        shares = (limit / (norms + 1e-6)).clamp_(max=1.0)
        for gradient, share in zip(gradients, shares.unbind(), strict=True):
            gradient.mul_(share)

    def _update_(self, part: "Part", label: str, moment: Moment) -> None:
        from evoweights_kernels import Call, apply_

        part.counters[STEPS] = part.counters.get(STEPS, 0) + 1
        step = part.counters[STEPS] if self.bias_correction == "own" else moment.step
        for roles, decay in ((DECAYED, self.weight_decay), (PLAIN, 0.0)):
            live = part.live(roles)
            if live is None:
                continue
            scalars = adamw_scalars(self.rate_at(moment), decay, self.beta1, self.beta2, self.epsilon, step)
            call = Call(
                kernel=bodies.adamw,
                tensors={
                    "x": part.weights,
                    "gradient": part.gradient,
                    "first_moment": part.slots[FIRST],
                    "second_moment": part.slots[SECOND],
                },
                scalars=scalars,
                streams=self._streams(part, label, moment),
            )
            apply_([call], seed=moment.noise.seed, live=live, backend=moment.backend)

    def _streams(self, part: "Part", label: str, moment: Moment) -> dict[str, int]:
        if part.layout.dtype.itemsize == 4 or self.rounding == "nearest":
            return {}
        return {"rounding": moment.noise.stream(f"{label}/rounding")}


def _gradient_norm(mounted: "Mounted") -> "torch.Tensor":
    """L2 norm of the gradients of all parts together."""
    import torch

    norms = [torch.linalg.vector_norm(part.gradient, dtype=torch.float32) for part in mounted.parts]
    return torch.linalg.vector_norm(torch.stack(norms))
