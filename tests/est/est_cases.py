"""Small language models of both families, mounted, and feeds of fixed tokens for them."""

from pathlib import Path

import torch

from evoweights.founding import found
from evoweights.improvers import Moment
from evoweights.mounted import Blueprint
from evoweights.progress import Progress
from evoweights.seeds import Noise, seeded
from evoweights.task import Task
from evoweights.training import Feed
from evoweights_est.drawing import Draw
from evoweights_est.est import SubnetworkTraining
from evoweights_est.families import blocks_of
from evoweights_est.shares import Shares
from evoweights_est.subnetwork import Scales, Subnetwork, choose
from evoweights_lm.loss import next_token_loss

VOCABULARY, CONTEXT = 48, 12


def _llama_like(name, **changed):
    import transformers

    sizes = dict(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=40, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=32, use_cache=False,
    )  # fmt: skip
    config = getattr(transformers, f"{name}Config")(**sizes | changed)
    return getattr(transformers, f"{name}ForCausalLM")(config)


def gpt2(**changed):
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = dict(
        vocab_size=VOCABULARY,
        n_embd=32,
        n_layer=4,
        n_head=4,
        n_positions=32,
        use_cache=False,
        bos_token_id=0,
        eos_token_id=0,
    )
    none = dict(attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0)
    return GPT2LMHeadModel(GPT2Config(**sizes | none | changed))


MODELS = {
    "gpt2": gpt2,
    "llama": lambda: _llama_like("Llama", attention_bias=True, mlp_bias=True),
    "llama, 2 of 8 heads for keys": lambda: _llama_like("Llama", num_attention_heads=8, num_key_value_heads=2),
    "llama, groups of 2 by 3": lambda: _llama_like(
        "Llama", hidden_size=48, num_attention_heads=6, num_key_value_heads=3
    ),
    "qwen2": lambda: _llama_like("Qwen2", num_key_value_heads=2),
    "qwen3": lambda: _llama_like("Qwen3", num_key_value_heads=2, head_dim=16),
    "mistral": lambda: _llama_like("Mistral", tie_word_embeddings=True),
}


class Tokens(Task):
    """Fixed random tokens for a model that is made by ``make``."""

    tokens_per_batch = 4 * CONTEXT

    def __init__(self, make):
        self.make = make

    def build(self):
        model = self.make()
        for parameter in model.parameters():  # fresh biases are zero and fresh norms one, which hides mistakes
            parameter.data.add_(torch.randn_like(parameter), alpha=0.1)
        return model.train()

    def batch(self, index):
        return torch.randint(VOCABULARY, (4, CONTEXT + 1), generator=torch.Generator().manual_seed(index))

    def loss(self, module, batch):
        return next_token_loss(module, batch[:, :-1], batch[:, 1:])

    def evaluate(self, module):
        return float(self.loss(module, self.batch(99)).detach())


def mounted_model(name="gpt2", *, improver=None, shared=lambda name: False, dtype=None, compute=None, make=None):
    """The task of a model and one individual of it, mounted with the slots of ``improver``."""
    task = Tokens(make or MODELS[name])
    with seeded(Noise(5, "model")):
        module = task.build().to(dtype or torch.float32)
    _, mounted = found(
        Blueprint(module, 1, initialise=lambda row: None, is_shared=shared, home="device"),
        improvers=[improver or SubnetworkTraining()],
        operators=[],
        noise=Noise(1),
        device=torch.device("cpu"),
        folder=Path(),
        compute=compute,
    )
    return task, mounted


def steps_(improver, task, mounted, count, *, first=1, total=100, seed=3):
    """Take steps ``first`` to ``first + count - 1`` of a run of ``total``, each on the batch of its number."""
    progress = Progress(batches=first - 1)
    feed, losses = Feed(task, progress), []
    for step in range(first, first + count):
        noise = Noise(seed)
        moment = Moment(step, total, noise.at("step", step), "cpu", noise.at("individual", 0))
        losses.append(improver.step(mounted, feed, moment))
    return losses


def subnetwork_of(mounted, *, heads=0.5, neurons=0.5, layers=1.0, sampling="random", seed=1, number=0, scales=None):
    """A subnetwork of a mounted model."""
    blocks, draw = blocks_of(mounted.module), Draw(Noise(seed, "subnetwork"), number, sampling)
    chosen = choose(blocks, draw, Shares(heads, neurons, layers), protect_ends=False)
    return Subnetwork(mounted, chosen, blocks, list(mounted.own.slots), scales or Scales())


def inside(subnetwork):
    """Of every parameter of the blocks, by name, which of its elements are in the subnetwork."""
    marks = {name: torch.ones_like(each, dtype=torch.bool) for name, each in subnetwork.whole.module.named_parameters()}
    for block, each in zip(subnetwork.blocks, subnetwork.chosen, strict=True):
        for name in [name for name in marks if name.startswith(f"{block.path}.")]:
            if each is None:
                marks[name].zero_()
        for name, dim, places in each.places() if each else ():
            outside = torch.ones(marks[name].shape[dim], dtype=torch.bool)
            outside[places.index] = False
            marks[name].index_fill_(dim, outside.nonzero().flatten(), False)
    return marks
