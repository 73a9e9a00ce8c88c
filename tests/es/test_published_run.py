"""EA4LLM with its published settings on a small character model: how far 300 steps come is what theory says, and no further."""

import collections
import math
from pydoc_data.topics import topics

import torch
from strategies_under_test import moment, mounted_on
from transformers import GPT2Config, GPT2LMHeadModel

from engine_runs import config_in
from evoweights.seeds import Noise, seeded
from evoweights_lm.loss import sequence_losses

STEPS, LENGTH, SEQUENCES, CHARACTERS = 300, 64, 8, 119
GENES = 18_624


class Characters:
    """Draws sequences of a text, every one once in a pass over it, and scores the mounted model on them."""

    def __init__(self, mounted):
        text = "".join(topics[name] for name in sorted(topics))
        kept = [each for each, _ in collections.Counter(text).most_common(CHARACTERS - 1)]
        number = {character: index for index, character in enumerate(kept)}
        ids = torch.tensor([number.get(character, CHARACTERS - 1) for character in text])
        rows = ids[: len(ids) // (LENGTH + 1) * (LENGTH + 1)].view(-1, LENGTH + 1)
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(1))
        self.held_out, self.rows = rows[order[:128]], rows[order[128:]]
        self.mounted, self.drawn = mounted, 0

    def draw(self, mounted):
        self.batch = self.rows[self.drawn : self.drawn + SEQUENCES]
        assert len(self.batch) == SEQUENCES
        self.drawn += SEQUENCES
        return self

    @torch.no_grad()
    def scores(self, copies=1):
        assert copies == 1
        return sequence_losses(self.mounted.module, self.batch[:, :-1], self.batch[:, 1:]).double()

    def loss(self):
        """On what is never trained on; differentiable."""
        return sequence_losses(self.mounted.module, self.held_out[:, :-1], self.held_out[:, 1:]).mean()


def individual():
    shape = {"n_layer": 1, "n_embd": 32, "n_head": 4, "n_positions": LENGTH, "vocab_size": CHARACTERS}
    tokens = {"bos_token_id": None, "eos_token_id": None}
    with seeded(Noise(4, "characters")):
        model = GPT2LMHeadModel(GPT2Config(**shape, **tokens, initializer_range=0.057)).eval()
    mounted = mounted_on(model)
    assert sum(each.count for each in mounted.own.layout.segments) == GENES
    return mounted


def gradient_norm(mounted, feed):
    gradients = torch.autograd.grad(feed.loss(), list(mounted.module.parameters()))
    return math.sqrt(sum(float(each.square().sum()) for each in gradients))


def test_300_steps_of_ea4llm_fall_as_far_as_predicted(tmp_path):
    """At most ``learning_rate * steps * |gradient|``: the published step size is a length along the gradient."""
    at_once = {"name": "gaussian", "layerwise": "off"}  # the same noise and quicker, in so small a model
    improve = [{"name": "es", "check_every": 0, "perturbation": at_once}]
    strategy = config_in(tmp_path, {"preset": "ea4llm", "improve": improve, "vary": []}).improve[0].component
    assert (strategy.members, strategy.sigma, strategy.learning_rate) == (30, 1e-3, 5e-4)
    mounted, reports = individual(), []
    feed = Characters(mounted)
    start, norm = feed.loss().item(), gradient_norm(mounted, feed)
    for step in range(1, STEPS + 1):
        strategy.step(mounted, feed, moment(step, reports=reports))
    end, last_norm = feed.loss().item(), gradient_norm(mounted, feed)
    most = strategy.learning_rate * STEPS * max(norm, last_norm)
    predicted = -sum(each["predicted_change"] for each in reports)
    fall = start - end
    assert 4.75 < start < 4.85
    assert 0.65 * most < fall < most
    assert 0.6 * predicted < fall < predicted  # on the batches themselves, and without curvature: steps promise more
