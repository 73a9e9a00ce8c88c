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
so bfloat16 goes through plain logits, and in recomputed chunks above ``PLAIN_LOGITS``, both with a float32 loss.
"""

import functools
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PLAIN_LOGITS = 1 << 26
"""Logits that are held at once without chunks: 256 MiB in float32."""
CHUNK_ROWS = 512

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


def head_loss(hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of ``targets [N]`` under the logits ``hidden [N, width] @ head [vocabulary, width]``."""
    if hidden.dtype == torch.float32 and (options := _torch_options()) is not None:
        return F.linear_cross_entropy(hidden, head, targets, options=options)
    if len(hidden) * len(head) <= PLAIN_LOGITS:
        return F.cross_entropy(F.linear(hidden, head).float(), targets)
    return recomputed_loss(hidden, head, targets)


@functools.cache
def _torch_options() -> "nn.LinearCrossEntropyOptions | None":
    """Options of torch's chunked loss; None before torch 2.13, which has none."""
    if "LinearCrossEntropyOptions" not in dir(nn):
        return None
    return nn.LinearCrossEntropyOptions(batch_chunk_size=CHUNK_ROWS, acc_policy="compact")


def recomputed_loss(hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    """The same in chunks of rows whose logits are computed again in the backward pass."""
    total = torch.zeros((), dtype=torch.float32, device=hidden.device)
    for rows, wanted in zip(hidden.split(CHUNK_ROWS), targets.split(CHUNK_ROWS), strict=True):
        total = total + checkpoint(_chunk_loss, rows, head, wanted, use_reentrant=False, preserve_rng_state=False)
    return total / len(targets)


def _chunk_loss(hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(hidden, head).float(), targets, reduction="sum")
