"""Cross-entropy of the next token without ever holding all logits, where that is worth it.

Which way is taken, and why (2 CPU cores, torch 2.13, forward and backward of the head alone):

=====================================  ======  =======  ============  ===================
tokens x width x vocabulary, float32   plain   torch's  recomputing   torch's, own policy
=====================================  ======  =======  ============  ===================
2,048 x 128 x 2,048                    18 ms   14 ms    21 ms         17 ms
2,048 x 128 x 4,096                    35 ms   26 ms    41 ms         39 ms
2,048 x 768 x 50,304                   1.9 s   1.7 s    2.8 s         4.7 s
=====================================  ======  =======  ============  ===================

So float32 uses torch's chunked ``linear_cross_entropy`` with 512 rows a chunk and float32 sums ("torch's"; its own
policy sums in float64). That function returns a bfloat16 loss for bfloat16 weights, which is too coarse (9.0 for 8.99),
so bfloat16 goes through plain logits, and above ``PLAIN_LOGITS`` through chunks whose gradients are made at once, which costs
no second product with the head; both with a float32 loss. Rows that pad the vocabulary count as tokens that never come.
"""

import functools
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PLAIN_LOGITS = 1 << 26
"""Logits that are held at once without chunks: 256 MiB in float32."""
LOGITS_AT_ONCE = 1 << 24
"""Logits that are held at once where sequences are only scored: 64 MiB in float32."""
CHUNK_LOGITS = 1 << 27
"""Logits of a chunk: 6 bytes each at the peak. Each chunk adds to the head's gradient once, so few are better than many."""
CHUNK_ROWS = 512
"""Rows of a chunk of torch's own loss."""

PLAIN_HEADS = frozenset({"gpt2", "llama", "mistral", "qwen2", "qwen3", "gpt_neox", "olmo2", "smollm3"})
"""Model types whose logits are the last hidden state times the output embedding and nothing else."""


def next_token_loss(module: "PreTrainedModel", inputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy (nats per token, float32) of ``targets`` given ``inputs``, both ``[batch, context]``."""
    if module.config.model_type not in PLAIN_HEADS:
        logits = module(input_ids=inputs, use_cache=False).logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())
    hidden = module.base_model(input_ids=inputs, use_cache=False).last_hidden_state
    head = module.get_output_embeddings()
    assert head is not None  # a causal language model has one
    return head_loss(hidden.flatten(0, 1), head.weight, targets.flatten())


def sequence_losses(module: "PreTrainedModel", inputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of every sequence (nats per token, float32 ``[batch]``); both arguments are ``[batch, context]``.

    The head is called as the module it is, on some tokens of all sequences at a time, so that whatever stands in for its
    weights is met.
    """
    if module.config.model_type not in PLAIN_HEADS:
        logits = module(input_ids=inputs, use_cache=False).logits
        return _losses(logits, targets).mean(1)
    hidden = module.base_model(input_ids=inputs, use_cache=False).last_hidden_state
    head = module.get_output_embeddings()
    assert head is not None  # a causal language model has one
    at_once = max(1, LOGITS_AT_ONCE // (len(inputs) * module.config.vocab_size))
    pairs = zip(hidden.split(at_once, 1), targets.split(at_once, 1), strict=True)
    return torch.cat([_losses(head(piece), wanted) for piece, wanted in pairs], 1).mean(1)


def _losses(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="none").view(targets.shape)


def head_loss(hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of ``targets [N]`` under the logits ``hidden [N, width] @ head [vocabulary, width]``."""
    if hidden.dtype == torch.float32 and (options := _torch_options()) is not None:
        return F.linear_cross_entropy(hidden, head, targets, options=options)
    if len(hidden) * len(head) <= PLAIN_LOGITS:
        return F.cross_entropy(F.linear(hidden, head).float(), targets)
    return chunked_loss(hidden, head, targets)


@functools.cache
def _torch_options() -> "nn.LinearCrossEntropyOptions | None":
    """Options of torch's chunked loss; None before torch 2.13, which has none."""
    if "LinearCrossEntropyOptions" not in dir(nn):
        return None
    return nn.LinearCrossEntropyOptions(batch_chunk_size=CHUNK_ROWS, acc_policy="compact")


def chunked_loss(hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    """The same in chunks of rows whose gradients are computed at once, so that no logits are kept or computed twice."""
    wants_gradient = torch.is_grad_enabled() and (hidden.requires_grad or head.requires_grad)
    return _ChunkedLoss.apply(hidden, head, targets, wants_gradient)


class _ChunkedLoss(torch.autograd.Function):
    """Softmax and its gradient in float32, sums over chunks in float32, products in the dtype of ``hidden``."""

    @staticmethod
    def forward(context: Any, hidden: Tensor, head: Tensor, targets: Tensor, wants_gradient: bool) -> Tensor:
        """The loss; its gradients are computed on the way, for an outer derivative of 1."""
        rows = max(1, CHUNK_LOGITS // len(head))
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        by_hidden = torch.empty_like(hidden) if wants_gradient else hidden
        by_head = torch.zeros_like(head, dtype=torch.float32) if wants_gradient else head
        for first in range(0, len(targets), rows):
            chunk, wanted = hidden[first : first + rows], targets[first : first + rows, None]
            logits = F.linear(chunk, head).float()
            logits -= logits.amax(1, keepdim=True)
            total -= logits.gather(1, wanted).sum()
            sums = logits.exp_().sum(1, keepdim=True)
            total += sums.log().sum()
            if wants_gradient:
                wrong = logits.div_(sums * len(targets))
                wrong.scatter_add_(1, wanted, torch.full_like(sums, -1 / len(targets)))
                wrong = wrong.to(hidden.dtype)
                torch.mm(wrong, head, out=by_hidden[first : first + rows])
                by_head += wrong.T @ chunk
        context.save_for_backward(by_hidden, by_head.to(head.dtype))
        return total / len(targets)

    @staticmethod
    @once_differentiable
    def backward(context: Any, *outer: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """The gradients by hidden state and head."""
        by_hidden, by_head = context.saved_tensors
        return by_hidden * outer[0], by_head * outer[0], None, None
