"""Small models whose members are scored together, and the same members with their weights written out."""

from dataclasses import dataclass, replace
from itertools import pairwise

import torch
import transformers
from torch import nn
from torch.nn import functional

from evoweights.genome import layout_of
from evoweights.homes.part import mount_
from evoweights.mounted import Mounted
from evoweights.seeds import Noise, seeded
from evoweights_es.changes import Changes
from evoweights_es.chunk import Chunk
from evoweights_es.low_rank import LowRank
from evoweights_es.member import Member, Place

PLACE = Place(noise=Noise(5, "generation 3"), fixed=Noise(5, "fixed"), backend="auto")
VOCABULARY, CONTEXT = 61, 7

_TINY = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 16,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
_GPT2 = {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 16}
_OPT = {"hidden_size": 32, "word_embed_proj_dim": 32, "ffn_dim": 48, "dropout": 0.0}
CONFIGS = {
    "gpt2": transformers.GPT2Config(**_GPT2, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0),
    "llama": transformers.LlamaConfig(**_TINY),
    "llama tied": transformers.LlamaConfig(**_TINY, tie_word_embeddings=True, attention_bias=True),
    "qwen2": transformers.Qwen2Config(**_TINY),
    "qwen3": transformers.Qwen3Config(**_TINY, head_dim=8),
    "gemma": transformers.GemmaConfig(**_TINY, head_dim=8),
    "opt": transformers.OPTConfig(**{**_TINY, **_OPT}),
}


def language_model(name):
    """A causal language model whose biases and norms are not what they are at the start."""
    with seeded(Noise(1, name)):
        model = transformers.AutoModelForCausalLM.from_config(CONFIGS[name]).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim < 2:
                    parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model


class Perceptron(nn.Sequential):
    """Layers without a sequence: the first dimension is that of the batch."""

    def __init__(self, *widths, norm=None):
        with seeded(Noise(2, "perceptron")):
            layers = []
            for before, after in pairwise(widths):
                layers += [nn.Linear(before, after), *([norm(after)] if norm else []), nn.Tanh()]
            super().__init__(*layers[:-1])


@dataclass
class Tokens:
    """A subset of sequences: one score each."""

    module: nn.Module
    sequences: int = 3

    def scores(self, copies=1):
        ids = numbers(self.sequences, CONTEXT + 1).mul(3).abs().long() % VOCABULARY
        ids = ids.repeat(copies, 1)
        with torch.no_grad():
            logits = self.module(input_ids=ids[:, :-1], use_cache=False).logits.float()
        losses = functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        return losses.view(len(ids), -1).mean(1).double()


@dataclass
class Points:
    """A subset of vectors, each with the mean square of what is wrong about its image."""

    module: nn.Module
    inputs: int
    outputs: int
    items: int = 5

    def scores(self, copies=1):
        with torch.no_grad():
            return self.losses(copies).double()

    def losses(self, copies=1):
        points = numbers(self.items, self.inputs + self.outputs).repeat(copies, 1)
        points = points.to(next(self.module.parameters()).dtype)
        made = self.module(points[:, : self.inputs])
        return (made.float() - points[:, self.inputs :]).square().flatten(1).mean(1)


def numbers(*shape, at="data"):
    """Normal numbers, always the same."""
    return torch.randn(*shape, generator=Noise(3, at).generator())


def mounted(module, *, is_shared=lambda name: False, dtype=None):
    """The module on buffers, divided into its own and its shared part."""
    names = [name for name, _ in module.named_parameters()]
    own, shared = (
        mount_(
            module, layout_of(module, [name for name in names if is_shared(name) == side], dtype=dtype), device="cpu"
        )
        for side in (False, True)
    )
    return Mounted(module=module, own=own, shared=shared)


def members(count, *, mirrored=False):
    """One member for every direction, or two."""
    if mirrored:
        return [Member(each // 2, 1.0 - 2.0 * (each % 2)) for each in range(count)]
    return [Member(each, 1.0) for each in range(count)]


def epsilon(perturbation, part, label, segment, direction, *, place=PLACE):
    """The noise of a direction on a whole segment, as estimates use it."""
    out = torch.zeros(segment.count)
    one = [0.0] * direction + [1.0]
    perturbation.add_estimate_(out, Chunk(part, label, segment, 0, len(out)), one, place=place)
    return out.view(segment.shape)


def explicit_scores(perturbation, individual, subset, who, *, sigma, place=PLACE):
    """The scores of members whose weights are written into the module, one after the other."""
    parts = [("own", individual.own), ("shared", individual.shared)]
    kept = [part.weights.clone() for _, part in parts]
    found = []
    for member in who:
        for label, part in parts:
            for segment in perturbation.segments(part):
                noise = epsilon(perturbation, part, label, segment, member.direction, place=place)
                segment.view(part.weights).add_(noise.to(part.weights.dtype), alpha=sigma * member.sign)
        found.append(subset.scores())
        for (_, part), weights in zip(parts, kept, strict=True):
            part.weights.copy_(weights)
    return torch.stack(found)


def changes_of(module, *, copies=2, rank=1, sigma=0.02, is_perturbed=lambda name: True, **settings):
    """What members of a module that is not mounted yet differ in; mounts it."""
    individual = mounted(module)
    low_rank = LowRank(rank=rank, **settings)
    made = low_rank.changes(individual, members(copies), sigma=sigma, place=PLACE)
    return replace(
        made,
        matrices={name: each for name, each in made.matrices.items() if is_perturbed(name)},
        vectors={name: each for name, each in made.vectors.items() if is_perturbed(name)},
    )


def empty(copies):
    """Members that differ in nothing."""
    return Changes(copies, {}, {})
