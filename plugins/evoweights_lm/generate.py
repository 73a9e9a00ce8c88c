"""Text from a language model, a function of weights, prompt and seed."""

import torch
from torch import Tensor, nn

from evoweights.seeds import Noise
from evoweights_lm.vocabulary import Vocabulary


@torch.no_grad()
def generate_tokens(
    module: nn.Module,
    prompt: list[int],
    *,
    vocabulary: Vocabulary,
    context: int,
    tokens: int,
    temperature: float,
    top_k: int,
    noise: Noise,
) -> list[int]:
    """The prompt's ids and up to ``tokens`` more, ending early at the end of the text.

    Temperature 0 takes the likeliest token; ``top_k`` 0 allows all. The model sees the last ``context`` ids.
    """
    ids = list(prompt)
    generator = noise.generator()
    device = next(module.parameters()).device
    for _ in range(tokens):
        seen = torch.tensor([ids[-context:]], device=device)
        logits = module(input_ids=seen, use_cache=False).logits[0, -1, : vocabulary.size]
        ids.append(_choose(logits.float().cpu(), temperature, top_k, generator))
        if ids[-1] == vocabulary.end_of_text:
            break
    return ids


def _choose(logits: Tensor, temperature: float, top_k: int, generator: torch.Generator) -> int:
    if temperature == 0.0:
        return int(logits.argmax())
    if 0 < top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    # A failed individual's logits are NaN; a sample of it should still show something.
    chances = torch.softmax(logits / temperature, dim=0).nan_to_num(nan=1.0)
    return int(torch.multinomial(chances, 1, generator=generator))
