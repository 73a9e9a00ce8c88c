"""Whether a model predicts the next token from those before it, and from nothing else."""

from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch._subclasses import FakeTensor

from evoweights.errors import UsageError
from evoweights_lm.evaluating import evaluating

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@torch.no_grad()
def refuse_unless_causal(model: "PreTrainedModel", label: str, device: torch.device) -> None:
    """See that what a position predicts does not depend on a later token: else its loss would mean nothing.

    Raises:
        UsageError: it does.
    """
    if isinstance(next(model.parameters()).data, FakeTensor):
        return  # a sketch has no numbers to compare
    tokens = torch.zeros(2, 4, dtype=torch.int64, device=device)
    tokens[1, -1] = 1
    with evaluating(cast(nn.Module, model)):
        first, second = model(tokens).logits[:, 0].float()
    if not torch.allclose(first, second, rtol=1e-3, atol=1e-5, equal_nan=True):
        raise UsageError(
            f"task.model: {label!r} sees later tokens, so it cannot learn to predict the next one. "
            "Use a causal language model; some need is_decoder: true in their config.json."
        )
